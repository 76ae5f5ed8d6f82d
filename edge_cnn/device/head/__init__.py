"""The last layer as a value: taken out, resized, quantized, written back."""
