from xml.etree import ElementTree

import numpy as np

from edge_cnn.host.insight.calibration import measure_calibration
from edge_cnn.host.insight.charts import gradient_chart, reliability_diagram
from edge_cnn.host.insight.gradient_flow import GradientFlow


def words(svg):
    return {text.strip() for e in ElementTree.fromstring(svg).iter() if (text := e.text) and text.strip()}


def flow(layers, epochs=4):
    norms = np.random.default_rng(0).random((layers, epochs))
    return GradientFlow(tuple(f"layer{i}" for i in range(layers)), np.full(layers, 9), np.arange(1, epochs + 1), norms)


def test_the_diagram_says_what_is_what():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [1.0, 0.0]])
    told = words(reliability_diagram(measure_calibration(scores, np.array([0, 1, 0]))))
    assert {"share of right answers", "confidence", "answers"} <= told


def test_the_zeros_of_both_axes_do_not_touch():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [1.0, 0.0]])
    svg = ElementTree.fromstring(reliability_diagram(measure_calibration(scores, np.array([0, 1, 0]))))
    (answers,) = (float(e.get("y")) for e in svg.iter() if (e.text or "").strip() == "0")
    below = max(float(e.get("y")) for e in svg.iter() if (e.text or "").strip() == "0.0")
    assert below - answers > 10, "letters are 9 points high"


def test_gradients_of_few_layers_are_named_all_and_of_many_the_first_and_the_last_among_them():
    assert {"layer0", "layer1", "layer2", "epoch"} <= words(gradient_chart(flow(3)))
    named = {word for word in words(gradient_chart(flow(30))) if word.startswith("layer")} - {"layer"}
    assert {"layer0", "layer29"} <= named
    assert len(named) <= 6


def test_one_epoch_and_gradients_of_nothing_are_drawn():
    nothing = GradientFlow(("a", "b"), np.array([4, 4]), np.array([1]), np.array([[0.0], [1.0]]))
    assert {"a", "b"} <= words(gradient_chart(nothing))


def test_gradients_that_are_not_finite_leave_a_gap():
    broken = GradientFlow(("a", "b"), np.array([4, 4]), np.array([1, 2]), np.array([[1.0, np.nan], [1.0, np.inf]]))
    assert {"a", "b"} <= words(gradient_chart(broken))
