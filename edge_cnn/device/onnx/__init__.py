"""`.onnx` files: reading, the last layer, surgery on their bytes."""
