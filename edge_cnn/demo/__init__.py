"""The whole road on real digits, once: train, export, run, fine-tune and verify."""
