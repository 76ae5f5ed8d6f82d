"""The search among mixes, with files that are never made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from converters.explanation import mix_search
from converters.explanation.mix import Mix
from converters.explanation.mix_search import MixSearch


class Maker:
    """Makes a description in place of a file."""

    def __init__(self) -> None:
        self.graph = SimpleNamespace(operators=())

    def make(self, mix: Mix) -> bytes:
        return mix.describe().encode()


def searching(monkeypatch, accuracy):
    monkeypatch.setattr(mix_search, "float_share", lambda _, exclude: 0.1 * len(exclude))
    return MixSearch(Maker(), lambda data: accuracy(data.decode()), 0.9)  # type: ignore[arg-type]  # a maker of words


def test_plain_int8_that_fits_is_all_that_is_tried(monkeypatch):
    found = searching(monkeypatch, lambda _: 0.895).run(0.01, list)
    assert found.within
    assert found.chosen.mix == Mix()
    assert len(found.tries) == 1


def test_what_costs_nothing_on_the_device_goes_before_float_layers(monkeypatch):
    found = searching(monkeypatch, lambda what: 0.9 if "bias corrected" in what or "float" in what else 0.5).run(
        0.01, lambda: [("a",)]
    )
    assert found.within
    assert found.chosen.mix == Mix(bias_corrected=True)


def test_layers_that_turn_out_unnecessary_go_back_to_int8(monkeypatch):
    def accuracy(what):
        return 0.9 if "b in float" in what or ", b" in what else 0.6 + 0.05 * ("a" in what.split(", ", 1)[-1][:2])

    search = searching(monkeypatch, accuracy)
    best = search.exclude(Mix(), 0.01, [("a", "x"), ("b",)])
    assert best.mix.exclude == ("b",)
    assert best.drop == pytest.approx(0)


def test_a_group_that_gains_nothing_stays_in_int8(monkeypatch):
    best = searching(monkeypatch, lambda _: 0.4).exclude(Mix(), 0.01, [("a",), ("b",)])
    assert best.mix.exclude == ()


def test_no_float_layers_are_tried_where_none_are_allowed(monkeypatch):
    found = searching(monkeypatch, lambda what: 0.9 if "float" in what else 0.5).run(0.01, None)
    assert not found.within
    assert all(tried.mix.exclude == () for tried in found.tries)


def test_a_rejected_mix_is_never_chosen_as_fitting(monkeypatch):
    search = searching(monkeypatch, lambda _: 0.9)
    search.reject(Mix())
    assert search.run(0.01, None).chosen.mix != Mix()


def test_each_mix_is_made_once(monkeypatch):
    seen = []
    search = searching(monkeypatch, lambda what: seen.append(what) or 0.5)
    search.run(0.01, lambda: [("a",)])
    search.run(0.0, lambda: [("a",)])
    assert len(seen) == len(set(seen))
