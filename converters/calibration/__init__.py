"""The samples that set the ranges of activations, and the ranges."""
