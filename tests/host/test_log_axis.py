"""Where a logarithmic axis ends, where its zero is, and which of its values are labelled."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from edge_cnn.host.charts import error_of, training_curve
from edge_cnn.host.log_axis import log_axis, round_values
from edge_cnn.host.log_chart import Curve, log_chart
from edge_cnn.host.training import EpochRecord

ERRORS = [0.75, 0.25, 1 / 12, 0.0, 0.0]
"""Of 12 samples."""


def labels(svg):
    """(x, y, text) of every label."""
    return [
        (float(element.get("x")), float(element.get("y")), element.text.strip())
        for element in ElementTree.fromstring(svg).iter()
        if element.tag.endswith("text") and element.text and element.get("y")
    ]


def test_the_axis_ends_a_bit_below_the_least_value_that_is_not_zero():
    axis = log_axis(ERRORS)
    assert 1 / 12 / 2.1 < axis.low < 1 / 12
    assert axis.placed([0.0, 0.25]).tolist() == [axis.low, 0.25]
    assert axis.ticks(10)[axis.low] == "0"


def test_without_a_zero_there_is_no_tick_for_it():
    axis = log_axis([2.3, 0.4, math.nan, math.inf])
    assert "0" not in axis.ticks(10).values()
    assert (axis.low > 0.3, axis.high < 2.7) == (True, True)
    assert np.isnan(axis.placed([math.nan])).all()


def test_zeros_alone_have_an_axis():
    assert log_axis([0.0]).ticks(10)[0.1] == "0"


@pytest.mark.parametrize("low", [1e-9, 3e-5, 0.02, 0.9, 1.3])
@pytest.mark.parametrize("factor", [2.2, 4, 30, 700, 1e5, 1e12])
@pytest.mark.parametrize("most", [5, 8, 10])
def test_round_values_are_some_and_never_nearer_than_their_labels_are_high(low, factor, most):
    values = round_values(low, low * factor, most)
    assert 1 <= len(values) <= most + 1
    assert all(low <= value <= low * factor for value in values)
    assert np.all(np.diff(np.log10(values)) >= math.log10(factor) / most - 1e-9)
    assert all(float(f"{value:.1e}") == value for value in values)


def test_the_live_chart_draws_zero_at_the_edge_and_its_labels_apart():
    svg = log_chart("error", [Curve("validation", "#000000", range(5), ERRORS)])
    points = next(e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("polyline")).get("points").split()
    down = [float(point.split(",")[1]) for point in points]
    (zero,) = (y for _, y, text in labels(svg) if text == "0")
    assert zero - 3.5 == pytest.approx(down[-1], abs=0.11)
    assert down[-1] - down[-3] < 60, "from 1 of 12 to none is a step, not a fall"


def test_labels_of_the_live_chart_do_not_touch_over_many_decades():
    svg = log_chart("loss", [Curve("training", "#000000", range(4), [2.5, 0.5, 1e-3, 2e-6])])
    heights = sorted(y for x, y, _ in labels(svg) if 0 < x < 44)
    assert len(heights) >= 4
    assert np.diff(heights).min() > 11


def history(errors, losses):
    return [
        EpochRecord(e, loss, loss, 1 - err, 1 - err, 0.1)
        for e, (err, loss) in enumerate(zip(errors, losses, strict=True))
    ]


@pytest.mark.parametrize(
    ("errors", "losses"),
    [(ERRORS, [2.5, 0.5, 0.01, 1e-3, 1e-5]), ([0.9, 0.5, 0.3, 0.2, 0.1], [1.49, 1.48, 1.47, 1.46, 1.45])],
)
def test_labels_of_the_reports_chart_do_not_touch_and_zero_is_one_of_them(errors, losses):
    svg = training_curve(history(errors, losses))
    shown = ElementTree.fromstring(svg).iter()
    ends = [e for e in shown if e.tag.endswith("text") and "text-anchor: end" in e.get("style", "")]
    left = [(float(e.get("y")), e.text.strip()) for e in ends]
    assert len(left) >= 6
    assert np.diff(np.sort([y for y, _ in left])).min() > 9, "letters are 9 points high"
    assert any(text == "0" for _, text in left) == (0.0 in errors)


def test_what_rounding_leaves_of_no_error_is_none():
    assert error_of([float(np.float32(1) - np.float32(6e-8)), 0.75]).tolist() == [0.0, 0.25]
