"""Training of the last layer on embeddings, in numpy."""
