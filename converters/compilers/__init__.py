"""What the makers of hardware put between a `.tflite` file and their chip: one file a compiler, one table."""
