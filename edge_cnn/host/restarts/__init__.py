"""Training from several random initializations, and from one that is not random."""
