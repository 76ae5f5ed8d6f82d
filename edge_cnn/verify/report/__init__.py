"""A verify report as one HTML file without scripts, fonts or files from elsewhere."""
