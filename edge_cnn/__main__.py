"""`python -m edge_cnn` is `edge-cnn`."""

from edge_cnn.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
