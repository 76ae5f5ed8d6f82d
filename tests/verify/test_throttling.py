import numpy as np
import pytest

from edge_cnn.verify.throttling import ThrottleState, judge_throttling, measure_drift

COOL = ThrottleState({"cpu 0": 48.0, "gpu 1": 45.0}, {"cpu0": 1500.0, "cpu1": 600.0}, 1500.0, 3, ())
SILENT = ThrottleState({}, {}, None, None, None)
STEADY = np.full(200, 80.0)


def changed(**values):
    return ThrottleState(**{**vars(COOL), **values})


def test_a_steady_cool_device_shows_nothing():
    found = judge_throttling(STEADY, COOL, changed(temperature_c={"cpu 0": 52.4}))
    assert found.noticed == ()
    assert found.in_words() == (
        "none noticed, the last tenth of the runs took as long as the first (48 -> 52 °C, 1500 -> 1500 of 1500 MHz)"
    )


def test_runs_that_grow_longer_are_told_with_how_much():
    latencies = np.concatenate([np.full(150, 80.0), np.full(50, 120.0)])
    found = judge_throttling(latencies, SILENT, SILENT)
    assert found.drift == 1.5
    assert "50% longer than the first: throttling, or other work on the device" in found.in_words()
    assert "no temperature or clock to read" in found.in_words()


def test_runs_that_grow_shorter_are_no_throttling():
    found = judge_throttling(STEADY[::-1] * np.linspace(2, 1, 200), SILENT, SILENT)
    assert found.noticed == ()
    assert "shorter than the first" in found.in_words()


def test_a_spike_at_the_end_is_no_drift():
    latencies = STEADY.copy()
    latencies[-5:] = 5_000
    assert measure_drift(latencies) == 1.0


def test_too_few_runs_tell_no_drift():
    latencies = np.linspace(80, 800, 99)
    assert measure_drift(latencies) is None
    assert judge_throttling(latencies, SILENT, SILENT).in_words() == "none noticed (no temperature or clock to read)"


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (changed(events=8), "the kernel counted 5 throttle events"),
        (changed(firmware=("throttled", "under-voltage")), "the firmware reports: throttled, under-voltage"),
        (changed(frequency_mhz={"cpu0": 1000.0, "cpu1": 1000.0}), "the clock fell from 1500 to 1000 MHz"),
    ],
)
def test_what_the_system_says_of_itself_is_noticed(after, words):
    found = judge_throttling(STEADY, COOL, after)
    assert found.noticed == (words,)
    assert found.to_json()["noticed"] is True
    assert found.in_words().startswith(words)


@pytest.mark.parametrize(
    "after", [changed(events=3), changed(frequency_mhz={"cpu0": 1400.0}), changed(frequency_mhz={}), SILENT]
)
def test_small_steps_of_a_governor_and_missing_sensors_are_not(after):
    assert judge_throttling(STEADY, COOL, after).noticed == ()


def test_a_state_is_what_the_agent_sent():
    assert ThrottleState.from_header(COOL.to_json()) == COOL
    assert ThrottleState.from_header(SILENT.to_json()) == SILENT
