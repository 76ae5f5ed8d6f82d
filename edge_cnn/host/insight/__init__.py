"""What a trained network sees, how far its confidence is to be believed, and whether gradients reached every layer."""
