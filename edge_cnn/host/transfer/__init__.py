"""Training that starts from a trained network: its head cut, a new one put on, layers frozen."""
