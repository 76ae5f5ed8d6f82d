from xml.etree import ElementTree

import numpy as np
import pytest

from edge_cnn.host.landscape.charts import line_chart, surface_map, surface_relief
from edge_cnn.host.landscape.line import LineBetween
from edge_cnn.host.landscape.surface import LossSurface

STEPS = np.linspace(-1, 1, 5)
BOWL = LossSurface(STEPS, STEPS, 0.01 + STEPS[:, None] ** 2 + STEPS**2, 100)


def words(svg):
    return " ".join(text.strip() for e in ElementTree.fromstring(svg).iter() if (text := e.text) and text.strip())


@pytest.mark.parametrize("draw", [surface_map, surface_relief])
@pytest.mark.parametrize("worst", [4.0, np.inf, np.nan, 0.0], ids=["finite", "infinite", "not a number", "nothing"])
def test_surfaces_are_drawn_also_where_a_network_overflows(draw, worst):
    losses = BOWL.losses.copy()
    losses[0, 0] = worst
    svg = draw(LossSurface(STEPS, STEPS, losses, 100), "nats")
    assert "loss (nats)" in words(svg)
    assert svg == draw(LossSurface(STEPS, STEPS, losses, 100), "nats")


def test_a_flat_surface_is_drawn():
    flat = LossSurface(STEPS, STEPS, np.zeros((5, 5)), 100)
    assert "nats" in words(surface_map(flat, "nats"))
    assert "nats" in words(surface_relief(flat, "nats"))


def test_the_map_marks_the_network_and_the_scale_covers_all_losses():
    told = words(surface_map(BOWL, "nats"))
    assert "this network" in told
    numbers = [float(part) for part in told.replace("\u2212", "-").split() if part.replace(".", "").isdigit()]
    assert min(n for n in numbers if n > 0) < 0.02
    assert max(numbers) >= 1


def test_the_line_says_how_high_the_barrier_is():
    line = LineBetween(np.linspace(0, 1, 3), np.array([0.1, 1.6, 0.2]), np.array([0.98, 0.5, 0.97]), 1.45)
    told = words(line_chart(line, "nats"))
    assert "barrier 1.4" in told or "barrier 1.5" in told
    assert {"first", "second", "half", "error"} <= set(told.split())


def test_a_line_without_answers_has_one_chart():
    line = LineBetween(np.linspace(0, 1, 3), np.array([0.1, 0.1, 0.1]), np.full(3, np.nan), 0.0)
    told = words(line_chart(line, "squared"))
    assert "loss (squared); barrier 0" in told
    assert "error" not in told


def test_large_losses_are_written_without_powers_of_ten():
    told = words(surface_relief(LossSurface(STEPS, STEPS, 0.1 + 3000 * BOWL.losses, 100), "nats"))
    assert "e+" not in told
    assert "6,030" in told
