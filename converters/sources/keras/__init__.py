"""Keras files before Keras reads them: what they may hold, and the configurations that Keras 2 wrote."""
