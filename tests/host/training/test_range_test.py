import itertools
import math

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training import range_test as module
from edge_cnn.host.training.optimizers import OPTIMIZERS
from edge_cnn.host.training.rate_choice import BELOW_EDGE, CYCLE, LONGEST_PULL, USUAL, choose_rate


def descent(curvature, rates):
    """Losses of gradient descent on a parabola, which is stable up to a rate of 2 / curvature: float64 (steps,)."""
    weight, losses = 1.0, []
    for rate in rates:
        losses.append(curvature * weight**2 / 2)
        weight -= rate * curvature * weight
    return np.array(losses)


@pytest.mark.parametrize("curvature", [0.5, 20.0, 700.0])
def test_the_edge_of_a_parabola_is_where_theory_says(curvature):
    rates = np.geomspace(1e-5, 100, 71)
    # Only the directions that the steps have not yet emptied can rise, so there is a flat floor under the parabola.
    losses = descent(curvature, rates) + 0.01 * curvature
    tested = choose_rate("sgd", rates, losses)
    assert tested.edge is not None
    # A rise shows once a few unstable steps have grown again what the stable ones took away.
    assert 2 / curvature < tested.edge < 12 * 2 / curvature


def test_a_curve_that_never_rises_leaves_the_usual_rate():
    rates = np.geomspace(1e-4, 10, 30)
    tested = choose_rate("adam", rates, np.linspace(2, 1, 30))
    assert tested.edge is None
    assert tested.learning_rate == USUAL["adam"]
    assert "rose at no rate up to 10" in tested.reason


@pytest.mark.parametrize("edge", [1e-6, 1e-3, 0.03, 0.5, 8.0])
def test_the_choice_lies_between_what_the_edge_says_and_the_usual_rate(edge):
    rates = np.geomspace(edge / 100, edge * 100, 200)
    tested = choose_rate("adam", rates, np.where(rates < edge, 1.0, 4.0))
    assert tested.edge == pytest.approx(edge, rel=0.15)
    low, high = sorted([tested.edge / BELOW_EDGE, USUAL["adam"]])
    assert low * 0.94 < tested.learning_rate < high * 1.06
    assert tested.learning_rate <= 1.06 * tested.edge
    pulled = tested.learning_rate / (tested.edge / BELOW_EDGE)
    assert 0.94 / LONGEST_PULL < pulled < 1.06 * LONGEST_PULL


def test_batches_of_different_difficulty_make_no_rise():
    losses = np.resize([0.2, 1.0, 3.0], 40)
    assert choose_rate("sgd", np.geomspace(1e-4, 10, 40), losses).edge is None


def test_a_loss_that_is_not_finite_is_an_edge():
    losses = np.array([1.0] * 10 + [math.nan])
    tested = choose_rate("sgd", np.geomspace(1e-4, 1, 11), losses)
    assert tested.edge == pytest.approx(10 ** (-0.4), rel=0.1)
    assert tested.to_json()["losses"][-1] is None


def test_every_optimizer_has_a_usual_rate():
    assert set(USUAL) == set(OPTIMIZERS)


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
def test_auto_trains_bit_for_bit_as_its_choice_given_by_hand(bars, optimizer):
    told = []
    config = TrainConfig(optimizer=optimizer, learning_rate="auto", epochs=2, batch_size=16)
    chosen = train(config, bars(90), on_range_test=told.append)
    given = train(
        TrainConfig(optimizer=optimizer, learning_rate=told[0].learning_rate, epochs=2, batch_size=16), bars(90)
    )
    assert chosen.range_test == told[0]
    assert given.range_test is None
    assert chosen.config == given.config
    assert chosen.history == given.history
    for one, other in zip(chosen.model.get_weights(), given.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class Landscape:
    """Stands in for a graph: a loss that explodes above an edge, and counts the steps that it was asked for.

    With `refuses`, what follows an explosion is not finite and therefore not taken, as in the graph of a training.
    """

    def __init__(self, edge, refuses=False):
        self.edge, self.refuses, self.taken, self.state = edge, refuses, 0, [0, 1.0]

    def get_state(self):
        return list(self.state)

    def set_state(self, state):
        self.state = list(state)

    def start_epoch(self):
        self._loss = None

    def run(self, steps):
        self.taken += len(steps.rates)
        if self.refuses and self.state[1] > 1:
            self._loss = 0.0
            return 0
        self._loss = self.state[1]
        self.state = [self.state[0] + 1, 1.0 if steps.rates[0] < self.edge else 100.0]
        return len(steps.rates)

    def totals(self):
        from types import SimpleNamespace

        return SimpleNamespace(loss=self._loss)


@pytest.mark.parametrize(
    ("edge", "samples"), list(itertools.product([1e-6, 1e-5, 1e-3, 0.1, 100.0], [64, 225, 3600, 50_000]))
)
def test_a_range_test_takes_an_epoch_at_most_and_puts_everything_back(edge, samples):
    graph = Landscape(edge)
    tested = module.range_test(graph, TrainConfig(batch_size=10 if samples == 225 else 64), samples)
    assert graph.taken <= samples // (10 if samples == 225 else 64)
    assert graph.state == [0, 1.0]
    if samples == 64:
        assert tested.rates == ()
        assert tested.reason == (
            "0.015, adam's usual: an epoch has 1 of the 9 steps that a range test takes at least; "
            "--batch-size 7 makes so many"
        )
    if samples >= 3600 and edge < 1:
        assert tested.edge == pytest.approx(edge, rel=1.5)


def test_a_step_that_is_not_taken_ends_the_curve():
    tested = module.range_test(Landscape(0.1, refuses=True), TrainConfig(batch_size=64), 3600)
    assert tested.losses[-1] == math.inf
    assert len(tested.rates) < 3600 // 64
    assert tested.edge == pytest.approx(0.1, rel=0.5)


def test_the_rise_is_a_mean_over_a_turn_of_the_batches():
    losses = np.array([1.0] * 12)
    losses[8] = 1.3  # one batch of three: a tenth
    assert choose_rate("sgd", np.geomspace(1e-4, 1, 12), losses).edge is None
    losses[9:] = 1.3
    assert choose_rate("sgd", np.geomspace(1e-4, 1, 12), losses).edge is not None
    assert CYCLE == 3


@pytest.mark.parametrize("rate", ["fast", "AUTO", ""])
def test_words_but_auto_are_no_learning_rate(rate):
    with pytest.raises(InputError, match="it must be a number or auto"):
        TrainConfig(learning_rate=rate)


def test_no_rate_is_known_before_it_was_chosen():
    config = TrainConfig(learning_rate="auto")
    assert config.to_json()["learning_rate"] == "auto"
    with pytest.raises(ValueError, match="no learning rate was chosen yet"):
        _ = config.peak_rate
