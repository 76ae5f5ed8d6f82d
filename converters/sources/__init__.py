"""Trained models on disk, each kind read into one value."""
