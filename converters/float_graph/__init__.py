"""The float32 `.tflite` as a graph: what every source becomes, and what every quantization starts from."""
