import numpy as np
import pytest


@pytest.fixture
def network():
    """Makes a network with batch normalization, convolutions and any end, its statistics as if it were trained."""
    import keras

    def make(*end, side=12, channels=1):
        layers = keras.layers
        image = keras.Input((side, side, channels))
        features = layers.Conv2D(6, 3, padding="same", name="conv1")(image)
        features = layers.BatchNormalization(name="norm1")(features)
        features = layers.Conv2D(8, 3, activation="relu", name="conv2")(features)
        features = layers.BatchNormalization(name="norm2")(features)
        for layer in end:
            features = layer(features)
        model = keras.Model(image, features, name="other")
        rng = np.random.default_rng(0)
        for name in ("norm1", "norm2"):
            width = len(model.get_layer(name).get_weights()[0])
            model.get_layer(name).set_weights([rng.uniform(0.5, 2, width) for _ in range(4)])
        return model

    return make
