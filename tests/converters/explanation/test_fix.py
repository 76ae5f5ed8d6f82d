"""Which way back is taken, with files that are never made."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from converters.explanation import fix, mix_search
from converters.explanation.cause import Finding
from converters.explanation.explanation import ExplainedLayer
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range

HELD_OUT, TEST = 121, 400


def images(count):
    return LabelledImages(np.zeros((count, 4, 4, 1), np.uint8), np.zeros(count, np.int64), ("a", "b"))


@pytest.fixture
def propose(monkeypatch):
    """Proposes a fix for one layer; `lost` says how many of the held-out samples a way loses."""

    def run(cause, lost, lost_on_test=lambda _: 0, explains=False, mended=False):
        def accuracy(data, part, _):
            on = lost if len(part) == HELD_OUT else lost_on_test
            return 1 - on(data.decode()) / len(part)

        maker = SimpleNamespace(make=lambda mix: mix.describe().encode(), graph=None)
        monkeypatch.setattr(fix, "MixMaker", lambda *_: maker)
        monkeypatch.setattr(mix_search, "float_share", lambda *_: 0.0)
        monkeypatch.setattr(fix, "tflite_accuracy", accuracy)
        monkeypatch.setattr(fix, "graph_accuracy", lambda *_: 1.0)
        monkeypatch.setattr(fix, "model_inputs", lambda *_: None)
        monkeypatch.setattr(fix, "float_groups", lambda *_: [("conv",)])
        facts = SimpleNamespace(name="conv", short_name="conv", op="CONV_2D")
        layer = ExplainedLayer(facts, (Finding(cause, "", "", explains, mended),))  # type: ignore[arg-type]  # names alone
        return fix.propose_fix(
            None,  # type: ignore[arg-type]  # no graph is looked at
            (layer,),
            calibration=None,  # type: ignore[arg-type]
            held_out=images(HELD_OUT),
            test=images(TEST),
            preprocessing=input_range(0, 1, (4, 4, 1)),
            drop_before=0.8,
            float_accuracy=1.0,
            bound=0.01,
        )

    return run


def plain_loses(lost):
    return lambda what: lost if what == "percentile ranges" else 0


def test_wrong_preprocessing_is_mended_by_plain_int8_that_loses_two_of_121(propose):
    found = propose("wrong preprocessing", plain_loses(2), explains=True, mended=True)
    assert found.exclude == ()
    assert found.chosen.mix == mix_search.Mix()
    assert len(found.tries) == 1
    assert "1.65% on 121 held-out samples is within chance of 1.00%" in found.words[-1]


def test_a_way_without_float_layers_goes_before_one_with_them(propose):
    found = propose("outlier channel in weights", plain_loses(60), plain_loses(200))
    assert found.chosen.mix.equalized
    assert found.chosen.mix.exclude == ()
    assert found.words[-1] == "percentile ranges, equalized"
    assert found.free == (found.chosen, 0.0)
    # Beside it, what plain int8 needs.
    assert found.exclude == ("conv",)


def test_a_way_without_float_layers_that_loses_by_chance_goes_before_one_with_them(propose):
    found = propose("outlier channel in weights", lambda what: 0 if "float" in what else 2 if "equal" in what else 60)
    assert found.chosen.mix.equalized
    assert found.chosen.mix.exclude == ()
    assert found.chosen.drop > 0.01


def test_layers_stay_in_float_where_the_others_lose_beyond_chance(propose):
    found = propose("outlier channel in weights", lambda what: 0 if "float" in what else 6)
    assert found.chosen.mix.exclude == found.exclude == ("conv",)
    assert found.free is not None


def test_a_way_that_loses_on_the_test_part_beyond_chance_is_not_taken(propose):
    found = propose("wrong preprocessing", plain_loses(0), plain_loses(12), explains=True, mended=True)
    assert found.chosen.mix.equalized
    assert found.drop_after == 0
