"""DEVICE: where a runtime runs. `table` has one row a kind; everything but `local` starts an agent by a command."""
