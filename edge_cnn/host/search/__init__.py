"""Search for the settings of a training that end with the lowest validation loss, through Optuna."""
