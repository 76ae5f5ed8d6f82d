import pytest

from edge_cnn.core.errors import ModelError
from edge_cnn.host.architectures import build_model
from edge_cnn.host.budget.model_costs import model_costs
from edge_cnn.host.budget.operations import read_operations
from edge_cnn.host.tensorflow_import import import_tensorflow


@pytest.mark.parametrize(
    ("name", "shape", "classes", "millions"),
    [
        ("resnet8", (32, 32, 3), 10, 12.5),
        ("mobilenet_v1_025", (96, 96, 3), 2, 7.49),
        ("ds_cnn", (49, 10, 1), 12, 2.66),
        ("autoencoder", (5, 128, 1), 2, 0.26),
    ],
)
def test_multiplications_are_those_that_mlperf_tiny_publishes(name, shape, classes, millions):
    found = model_costs(build_model(name, shape, classes)).macs / 1e6
    assert found == pytest.approx(millions, rel=0.02)
    digits = len(f"{millions}".split(".")[1])
    assert round(found, digits) == millions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "millions"),
    [("MobileNet", 569), ("MobileNetV2", 300), ("ResNet50", 3860), ("NASNetMobile", 564), ("Xception", 8400)],
)
def test_multiplications_of_keras_applications_are_those_of_their_papers(name, millions):
    # Howard et al. 2017; Sandler et al. 2018; Canziani et al. 2016; Zoph et al. 2018; Chollet 2017.
    _, keras = import_tensorflow()
    costs = model_costs(getattr(keras.applications, name)(weights=None))
    assert costs.macs / 1e6 == pytest.approx(millions, rel=0.01)
    assert costs.graph.uncounted == ()


def layers_and_kinds(model):
    return [(operation.layer, operation.kind) for operation in read_operations(model).operations]


def test_what_an_export_melts_away_is_no_operator():
    _, keras = import_tensorflow()
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    features = keras.layers.BatchNormalization()(features)
    features = keras.layers.ReLU(6)(features)
    features = keras.layers.SpatialDropout2D(0.5)(features)
    features = keras.layers.Dense(5, "relu", name="dense")(keras.layers.Flatten(name="flat")(features))
    model = keras.Model(image, features)
    assert layers_and_kinds(model) == [("conv", "Conv2D"), ("flat", "Flatten"), ("dense", "Dense")]
    conv, flat, dense = (operation.cost for operation in read_operations(model).operations)
    # The bias comes from batch normalization.
    assert (conv.weights, conv.biases, conv.channels, conv.macs) == (108, 4, 4, 36 * 108)
    assert (flat.weights, flat.macs) == (0, 0)
    assert (dense.weights, dense.biases, dense.macs) == (144 * 5, 5, 144 * 5)


def test_what_an_export_cannot_melt_is_an_operator():
    _, keras = import_tensorflow()
    image = keras.Input((8, 8, 3))
    features = keras.layers.BatchNormalization(name="before")(image)
    both = keras.layers.Conv2D(3, 1, name="conv")(features)
    relu = keras.layers.ReLU(name="relu")(both)  # the convolution's result is read twice
    features = keras.layers.ReLU(name="after")(keras.layers.Add(name="add")([both, relu]))
    features = keras.layers.LeakyReLU(name="leaky")(features)
    features = keras.layers.BatchNormalization(name="norm")(features)
    features = keras.layers.Conv2D(3, 1, activation="swish", name="last")(features)
    assert layers_and_kinds(keras.Model(image, features)) == [
        *(("before", "BatchNormalization"), ("conv", "Conv2D"), ("relu", "ReLU"), ("add", "Add")),
        *(("leaky", "LeakyReLU"), ("norm", "BatchNormalization"), ("last", "Conv2D"), ("last", "silu")),
    ]


def test_other_convolutions_are_counted_by_their_kernels():
    _, keras = import_tensorflow()
    image = keras.Input((8, 8, 6))
    features = keras.layers.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2)(image)
    features = keras.layers.Conv2DTranspose(4, 2, strides=2)(features)
    features = keras.layers.Conv2D(4, 3, groups=2, padding="same")(features)
    graph = read_operations(keras.Model(image, features))
    assert [(o.cost.weights, o.cost.macs, o.cost.elements) for o in graph.operations] == [
        (9 * 12, 16 * 9 * 12, 16 * 12),
        (12 * 5, 16 * 12 * 5, 16 * 5),
        (4 * 5 * 4, 16 * 4 * 5 * 4, 64 * 4),  # each of 16 places spreads 2x2 over its own part of the output
        (9 * 2 * 4, 64 * 9 * 2 * 4, 64 * 4),
    ]


def test_models_inside_a_model_and_sequences_are_counted_as_their_layers():
    _, keras = import_tensorflow()
    inner = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization()])
    image = keras.Input((8, 8, 2))
    outer = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inner(image))))
    kinds = [operation.kind for operation in read_operations(outer).operations]
    assert kinds == ["Conv2D", "GlobalAveragePooling2D", "Dense"]
    assert read_operations(outer).total("macs") == 36 * 54 + 6
    assert read_operations(inner).total("macs") == 36 * 54


def test_layers_that_cannot_be_counted_are_named():
    _, keras = import_tensorflow()
    rows = keras.Input((8, 4))
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")(rows, rows)
    assert read_operations(keras.Model(rows, keras.layers.LayerNormalization()(attention))).uncounted == ("attention",)
    with pytest.raises(ModelError, match="open shape"):
        read_operations(build_open(keras))

    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ModelError, match="is no graph of layers"):
        read_operations(Own())


def build_open(keras):
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 3)(image))
