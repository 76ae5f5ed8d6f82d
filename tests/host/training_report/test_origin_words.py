"""What a report says of a training that started from a trained network, and of one that did not."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from edge_cnn.core.preprocessing import input_range
from edge_cnn.host.architectures import build_model
from edge_cnn.host.training import EpochRecord, TrainConfig, TrainResult
from edge_cnn.host.training.origin import Origin
from edge_cnn.host.training_report.origin_words import first_epoch
from edge_cnn.host.training_report.page import facts, summary


@pytest.fixture(scope="module")
def result():
    """Three dense layers, trained nowhere."""
    keras.utils.set_random_seed(0)
    model = build_model("mlp", (1, 1, 2), 2)
    history = (EpochRecord(0, 1.0, 1.0, 0.5, 0.5, 0.0), EpochRecord(1, 0.5, 0.5, 0.9, 0.9, 0.01))
    rows = np.arange(4)
    pixels = input_range(-1, 1, (1, 1, 2))
    return TrainResult(model, pixels, ("a", "b"), history, 1, False, False, TrainConfig("mlp"), rows, rows)


def of(result, *origin):
    return replace(result, config=replace(result.config, origin=Origin(*origin)))


def record_of(result):
    return {
        "data": {"name": "d", "source": "s", "licence": "l", "fingerprint": "f"},
        "preprocessing": result.preprocessing.to_json(),
        "seed": 0,
        "config": result.config.to_json(),
        "versions": {},
    }


@pytest.mark.parametrize(
    ("head", "frozen", "said"),
    [
        (
            "new",
            ("hidden1", "hidden2"),
            "Trained from m.keras with a new last layer, 2 of 3 layers frozen, for 1 epoch;",
        ),
        ("kept", (), "Trained from m.keras with its last layer kept, no layer frozen, for 1 epoch;"),
    ],
)
def test_the_summary_tells_what_was_transferred(result, head, frozen, said):
    assert summary(of(result, "m.keras", "fdec", head, frozen)).startswith(said)


def test_the_facts_name_the_origin_and_no_initialization(result):
    told = facts(record_of(of(result, "m.keras", "fdec", "new", ("hidden1",))))
    assert told["origin"] == "m.keras, sha256 fdec, a new last layer; frozen: hidden1"
    assert "initialization" not in told
    assert facts(record_of(of(result, "m.keras", "fdec", "new", ())))["origin"].endswith("; no layer frozen")


def test_new_weights_are_untrained_and_named_by_their_rule(result):
    assert summary(result).startswith("Trained for 1 epoch;")
    assert facts(record_of(result))["initialization"] == "random"
    assert first_epoch(None) == "Epoch 0 is the untrained network."


def test_epoch_0_of_a_trained_network_is_not_called_untrained():
    said = first_epoch(Origin("m.keras", "", "new", ()))
    assert said == "Epoch 0 is the network of m.keras with a new last layer, before any training here."
