"""Quantization schemes, one file an algorithm, and which of them an export makes."""
