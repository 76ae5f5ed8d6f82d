"""The loss as a landscape over the weights: around the minimum that training found, and between two of them."""
