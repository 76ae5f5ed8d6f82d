"""Artifacts on a board: the same bits as here, and what happens when the connection or the agent ends."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from edge_cnn.core.errors import DeviceFailedError
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.verify.devices import ssh, ssh_connection
from edge_cnn.verify.devices.table import parse_device
from edge_cnn.verify.golden_replay import first_sample
from edge_cnn.verify.latency import measure
from edge_cnn.verify.replay import verify
from edge_cnn.verify.replay_timing import time_briefly

pytestmark = pytest.mark.slow  # the first board's environment takes pip a quarter of a minute or more


@pytest.fixture
def artifact(artifacts):
    return artifacts["int8.tflite"]


@pytest.fixture
def images(bundle):
    return bundle.golden.inputs[:8]


@pytest.fixture
def run(bundle, images):
    """The golden images through an opened artifact."""

    def through(runtime):
        encoded = InputEncoder(bundle.manifest.preprocessing, runtime.inputs[0]).encode(images)
        return runtime.run((encoded,))[0]

    return through


@pytest.fixture
def expected(artifact, run, opened):
    return run(opened("local").open(artifact, "litert"))


@pytest.fixture
def opened(board):
    """Opens a DEVICE, by default `board`."""
    devices = []

    def open_device(name=None, **options):
        devices.append(parse_device(name or board.device, **options))
        return devices[-1]

    yield open_device
    for device in devices:
        device.close()


@pytest.fixture
def over_cable(board, cable):
    return board.device.replace(str(board.port), str(cable.port))


def within(seconds, condition):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("kind", "runtime"),
    [
        ("int8.tflite", "litert"),
        ("int8.tflite", "litert-ref"),
        ("float32.tflite", "litert"),
        ("int8.onnx", "onnxruntime"),
        ("float32.onnx", "onnxruntime"),
    ],
)
def test_a_board_of_this_kind_gives_the_same_bits_as_this_process(artifacts, kind, runtime, opened, run):
    here = run(opened("local").open(artifacts[kind], runtime))
    there = run(opened().open(artifacts[kind], runtime))
    assert there.dtype == here.dtype
    np.testing.assert_array_equal(there, here)


def test_verify_over_ssh_says_what_verify_says_here(bundle_path, board):
    names = [board.device, "local"]
    results = verify(bundle_path, names).results
    there, here = ([r.to_json() for r in results if r.device == name] for name in names)
    assert [r.pop("device") for r in there] == [board.device] * len(there)
    assert [r.pop("device") for r in here] == ["local"] * len(here)
    assert there == here
    assert len(there) == 4
    assert all(r["passed"] for r in there)


def test_the_runtime_behind_the_slash_is_the_one_that_runs(bundle_path, board):
    report = verify(bundle_path, f"{board.device}/litert-ref")
    assert {r.runtime for r in report.results} == {"litert-ref"}
    assert report.passed


def test_latency_is_measured_there(artifact, opened):
    report = measure(artifact, opened(), "litert", repeats=5, rng=np.random.default_rng(0))
    assert report.timing is not None
    assert report.timing.latencies_us.shape == (5,)
    assert (report.timing.latencies_us > 0).all()
    assert report.timing.peak_memory_mb > 1
    assert report.timing.cold_start.total_ms > 0


def test_verify_times_a_few_runs_there_and_not_through_the_network(artifact, bundle, opened, cable, over_cable):
    runtime = opened(over_cable).open(artifact, "litert")
    before = cable.sent[0]
    latencies = time_briefly(runtime, first_sample(bundle, runtime))
    assert len(latencies) >= 5
    assert min(latencies) > 0
    # Each run through the network would take an input there.
    assert cable.sent[0] - before < len(latencies) * np.prod(runtime.inputs[0].shape)


def test_a_run_after_the_connection_was_cut_gives_the_same_bits(artifact, opened, run, expected, cable, over_cable):
    runtime = opened(over_cable).open(artifact, "litert")
    cable.cut()
    np.testing.assert_array_equal(run(runtime), expected)
    assert len(cable.sent) == 2


def test_a_request_that_was_cut_in_the_middle_is_repeated(artifact, opened, run, expected, cable, over_cable):
    runtime = opened(over_cable).open(artifact, "litert")
    cable.cut_after(1500)  # of 6 kB of pixels
    np.testing.assert_array_equal(run(runtime), expected)
    assert len(cable.sent) == 2


def test_verify_goes_on_after_each_of_several_cuts(bundle_path, board, cable, over_cable):
    undisturbed = verify(bundle_path, board.device)
    disturbed = verify(bundle_path, over_cable, on_result=lambda _: cable.cut())
    for one, other in zip(undisturbed.results, disturbed.results, strict=True):
        assert one.to_json() | {"device": ""} == other.to_json() | {"device": ""}
    assert len(cable.sent) == len(undisturbed.results)


def test_a_connection_that_falls_silent_is_given_up_and_made_anew(
    artifact, opened, run, expected, cable, over_cable, monkeypatch
):
    # The first value counts: 3 s instead of 15.
    monkeypatch.setattr(ssh_connection, "OPTIONS", ("ServerAliveInterval=1", *ssh_connection.OPTIONS))
    runtime = opened(over_cable).open(artifact, "litert")
    cable.freeze()
    np.testing.assert_array_equal(run(runtime), expected)
    assert len(cable.sent) == 2


def test_a_board_that_does_not_come_back_is_lost_and_no_artifact_is_blamed(bundle_path, cable, over_cable, monkeypatch):
    monkeypatch.setattr(ssh, "PAUSES_S", (0.1, 0.1))

    def pull_the_plug(result):
        del result
        cable.close()

    report = verify(bundle_path, over_cable, on_result=pull_the_plug)
    assert [result.passed for result in report.results] == [True]
    assert len(report.lost) == 3
    assert all("refuses connections" in lost.reason or "connection was lost" in lost.reason for lost in report.lost)
    assert not report.passed


def test_a_crash_is_the_artifacts_and_the_next_one_runs(artifact, opened, run, expected, board, agents_of):
    device = opened()
    runtime = device.open(artifact, "litert")
    (agent,) = agents_of(board)
    os.kill(agent, signal.SIGSEGV)
    with pytest.raises(DeviceFailedError, match=rf"{artifact.name} ended the agent on '.*' with SIGSEGV"):
        run(runtime)
    np.testing.assert_array_equal(run(device.open(artifact, "litert")), expected)


def test_running_out_of_memory_is_the_artifacts_too(artifact, opened, run, board, agents_of):
    runtime = opened().open(artifact, "litert")
    (agent,) = agents_of(board)
    os.kill(agent, signal.SIGKILL)  # as the kernel does
    with pytest.raises(DeviceFailedError, match="SIGKILL"):
        run(runtime)


def test_a_crash_while_a_request_is_on_its_way_is_the_artifacts(artifact, opened, run, board, agents_of):
    runtime = opened().open(artifact, "litert")
    (agent,) = agents_of(board)
    os.kill(agent, signal.SIGSTOP)
    crash = threading.Timer(0.5, os.kill, (agent, signal.SIGABRT))
    awake = threading.Timer(0.6, os.kill, (agent, signal.SIGCONT))
    crash.start()
    awake.start()
    with pytest.raises(DeviceFailedError, match="SIGABRT"):
        run(runtime)
    awake.join()


def test_an_agent_that_hangs_is_ended_on_the_board_as_well(artifact, opened, run, board, agents_of):
    device = opened()
    runtime = device.open(artifact, "litert")
    (agent,) = agents_of(board)
    os.kill(agent, signal.SIGSTOP)  # it neither answers nor sees that its pipe is closed
    runtime._opened._agent._limit_s = 0.5
    with pytest.raises(DeviceFailedError, match=r"hung on '.*' for more than 0\.5 s"):
        run(runtime)
    assert within(15, lambda: agent not in agents_of(board))


def test_no_agent_stays_when_the_device_is_closed(artifact, opened, board, agents_of):
    device = opened()
    device.open(artifact, "litert")
    assert len(agents_of(board)) == 1
    device.close()
    assert within(5, lambda: not agents_of(board))


def test_commands_share_one_login(artifact, opened, cable, over_cable):
    device = opened(over_cable)
    device.open(artifact, "litert")
    with device.start_agent() as second:
        second.peak_memory_mb()
    assert len(cable.sent) == 1
