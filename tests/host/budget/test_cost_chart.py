import re

from edge_cnn.host.architectures import build_model
from edge_cnn.host.budget import model_costs
from edge_cnn.host.training_report.costs import LAYERS_SHOWN, cost_chart


def named(svg):
    return [
        text for text in re.findall(r"<text[^>]*>([^<]+)</text>", svg) if re.match(r"conv|depthwise|logits|emb", text)
    ]


def test_the_chart_names_every_layer_with_weights_in_the_order_of_the_network():
    names = named(cost_chart(model_costs(build_model("lenet", (28, 28, 1), 10))))
    assert names == ["conv1", "conv2", "conv3", "conv4", "embedding", "logits"]


def test_of_a_large_network_the_layers_that_compute_most_are_shown():
    costs = model_costs(build_model("mobilenet_v1_025", (32, 32, 3), 10))
    weighted = [o for o in costs.graph.operations if o.cost.weights]
    assert len(weighted) == 28 <= LAYERS_SHOWN
    twice = build_twice()
    shown = named(cost_chart(model_costs(twice)))
    assert len(shown) == LAYERS_SHOWN
    assert "conv_wide" in shown
    assert "conv_thin" not in shown


def build_twice():
    import keras

    image = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(1, 1, name="conv_thin")(image)
    features = keras.layers.Conv2D(8, 5, padding="same", name="conv_wide")(features)
    for number in range(40):
        features = keras.layers.Conv2D(4, 3, padding="same", name=f"conv_{number}")(features)
    return keras.Model(image, features)
