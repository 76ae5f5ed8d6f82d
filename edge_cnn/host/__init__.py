"""What runs on the host only: data sets, architectures, training with full back-propagation, golden recording."""
