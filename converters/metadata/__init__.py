"""Labels and preprocessing in the words of each format."""
