import math
from xml.etree import ElementTree

import pytest

from edge_cnn.host.log_chart import MAX_POINTS, Curve, log_chart


def elements(svg, kind):
    return [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith(kind)]


def words(svg):
    return [element.text for element in elements(svg, "text") if element.text]


def heights(svg, line=0):
    return [float(pair.split(",")[1]) for pair in elements(svg, "polyline")[line].get("points").split()]


def test_equal_factors_are_equal_distances_and_less_is_lower():
    down = heights(log_chart("loss", [Curve("training", "#000000", [0, 1, 2], [1.0, 0.1, 0.01])]))
    assert down[1] - down[0] == pytest.approx(down[2] - down[1], abs=0.11)
    assert down[0] < down[1] < down[2]


def test_levels_are_named_by_their_values():
    assert {"1", "0.1", "0.01"} <= set(words(log_chart("loss", [Curve("a", "#000000", [0, 1], [1.0, 0.01])])))


def test_a_level_stands_at_the_height_of_its_value():
    svg = log_chart("loss", [Curve("a", "#000000", [0, 1, 2], [0.9, 0.1, 0.02])])
    label = next(element for element in elements(svg, "text") if element.text == "0.1")
    assert float(label.get("y")) - 3.5 == pytest.approx(heights(svg)[1], abs=0.11)


def test_a_value_that_is_not_finite_is_a_gap():
    svg = log_chart("loss", [Curve("a", "#000000", range(6), [1, 2, math.nan, 4, 5, math.inf])])
    assert [len(line.get("points").split()) for line in elements(svg, "polyline")] == [2, 2]


def test_one_epoch_is_a_dot_and_zero_is_drawn_at_the_bottom():
    svg = log_chart("error", [Curve("a", "#000000", [0], [0.0])])
    assert len(elements(svg, "circle")) == 1
    assert not elements(svg, "polyline")


def test_a_long_curve_is_thinned_out_and_keeps_its_end():
    count = 5000
    svg = log_chart("loss", [Curve("a", "#000000", range(count), [1.0] * (count - 1) + [0.1])])
    down = heights(svg)
    assert len(down) <= MAX_POINTS
    assert down[-1] > down[-2]


def test_names_are_escaped():
    assert "<b>" in words(log_chart("<b>", [Curve("a", "#000000", [0], [1.0])]))
