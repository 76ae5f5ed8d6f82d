"""Host-only converters: from a trained model to quantized artifacts for a target."""
