"""ONNX graphs in TensorFlow's words: one function an operator, the layout of images moved into the constants."""
