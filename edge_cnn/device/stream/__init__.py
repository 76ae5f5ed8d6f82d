"""Fine-tuning from a stream of samples."""
