"""A better quantized model from the same float model: equalized, with corrected biases, trained with rounding."""
