"""Descents of the softmax head, one file each; `table.OPTIMIZERS` lists them."""
