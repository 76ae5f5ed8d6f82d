"""16-bit floats in the layers of the network that is trained, float32 in the one that is left."""

from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training import TrainConfig, precision, train
from edge_cnn.host.training.precision_trial import settle_precision

CONFIG = TrainConfig(epochs=12, batch_size=16, augmentation=None)
MIXED = {"mixed-bfloat16": "bfloat16", "mixed-float16": "float16"}


@pytest.fixture
def config(small_network):
    return replace(CONFIG, architecture=small_network)


def bytes_of(result):
    return b"".join(weights.tobytes() for weights in result.model.get_weights())


@pytest.mark.parametrize("name", list(MIXED))
def test_layers_compute_in_16_bits_and_the_network_that_is_left_in_float32(bars, config, name):
    import keras

    before, seen = keras.config.dtype_policy().name, {}

    def look(view):
        for layer in view.graph.model.layers:
            seen[layer.name] = layer.compute_dtype

    result = train(replace(config, precision=name), bars(90), on_view=look)
    assert seen["hidden"] == MIXED[name]
    assert seen["logits"] == seen["scores"] == "float32"
    assert keras.config.dtype_policy().name == before
    assert {layer.dtype_policy.name for layer in result.model.layers} == {"float32"}
    assert {weights.dtype for weights in result.model.get_weights()} == {np.dtype(np.float32)}
    assert result.history[-1].loss < 0.7 * result.history[0].loss
    assert all(0 < norm < 100 for norm in result.history[1].gradient_norms.values())
    assert result.config.precision == name


def test_gradients_are_told_without_the_scale_that_float16_puts_on_them(bars, config):
    once = replace(config, epochs=1, warm_up=0.0)
    norms = {
        name: train(replace(once, precision=name), bars(60)).history[1].gradient_norms for name in ("float32", *MIXED)
    }
    for name in MIXED:
        assert norms[name] == pytest.approx(norms["float32"], rel=0.05)


@pytest.mark.parametrize("name", list(MIXED))
def test_a_training_in_16_bits_goes_on_to_the_same_bytes(bars, config, name):
    config, states = replace(config, epochs=2, precision=name), []
    whole = train(config, bars(60), on_pause=lambda state: states.append(state()))
    assert states[0].epoch == 1 or len(states) > 1
    resumed = train(config, bars(60), state=states[0])
    assert bytes_of(resumed) == bytes_of(whole)
    assert resumed.history == whole.history


@pytest.mark.parametrize(("gain", "taken"), [(0.0, "mixed-bfloat16"), (1e9, "float32")])
def test_auto_takes_16_bits_where_steps_are_so_much_faster_and_says_what_it_measured(
    bars, config, monkeypatch, gain, taken
):
    monkeypatch.setattr(precision, "_candidate", lambda: ("mixed-bfloat16", "a processor"))
    monkeypatch.setattr(precision, "GAIN", gain)
    monkeypatch.setattr(precision, "SECONDS_A_ROUND", 0.001)
    settled, choice = settle_precision(replace(config, precision="auto"), bars(60))
    assert settled == replace(config, precision=taken)
    assert choice.precision == taken
    assert choice.reason.startswith("a processor; a step takes ")
    assert "ms in float32, " in choice.reason
    assert choice.reason.endswith("ms in mixed-bfloat16")


def test_auto_stays_with_float32_where_the_processor_has_no_such_instructions(bars, config, monkeypatch):
    monkeypatch.setattr(precision, "_processor_flags", lambda: {"avx2", "fma"})
    settled, choice = settle_precision(replace(config, precision="auto"), bars(60))
    assert settled.precision == "float32"
    assert choice.reason == "this processor has no instructions for 16-bit floats"


def test_the_choice_of_auto_does_not_change_what_the_precision_gives(bars, config, monkeypatch):
    monkeypatch.setattr(precision, "_candidate", lambda: ("mixed-bfloat16", "a processor"))
    monkeypatch.setattr(precision, "GAIN", 0.0)
    monkeypatch.setattr(precision, "SECONDS_A_ROUND", 0.001)
    quick = replace(config, epochs=1)
    auto, named = (train(replace(quick, precision=name), bars(60)) for name in ("auto", "mixed-bfloat16"))
    assert auto.config == named.config
    assert bytes_of(auto) == bytes_of(named)


def test_an_unknown_precision_is_one_clear_line():
    with pytest.raises(
        InputError, match="unknown precision 'int8'; known: float32, mixed-bfloat16, mixed-float16, auto"
    ):
        TrainConfig(precision="int8")
