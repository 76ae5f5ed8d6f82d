"""A whole fine-tuning: samples, embeddings, training, the tuned file, its check."""
