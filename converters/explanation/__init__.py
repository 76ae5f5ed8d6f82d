"""Which layer of a quantized model costs the accuracy, why, and what gives it back."""
