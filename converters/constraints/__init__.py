"""What targets demand of a model file."""
