"""`measure` on an agent whose clock is a list of numbers: what is asked for, in which order, and what comes of it."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DeviceFailedError, InputError, RuntimeUnavailableError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.runtimes.operator_times import OperatorTime
from edge_cnn.verify import latency
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.latency import Input, measure
from edge_cnn.verify.throttling import ThrottleState

ARTIFACT = Artifact("model.tflite", "tflite", b"file")
CODES = TensorSpec("x", (1, 3), "int8")
COOL = ThrottleState({"cpu 0": 40.0}, {"cpu0": 1500.0}, 1800.0, None, None)


@dataclass
class FakeOpened:
    agent: "FakeAgent"
    name: str = "litert"
    version: str = "2"
    inputs: tuple = ()
    import_ms: float = 100.0
    load_ms: float = 20.0

    def kernels(self):
        return Kernels("xnnpack", {"XNNPACK": 0.75, "builtin": 0.25})

    def run(self, inputs):
        self.agent.log.append(("run", inputs[0]))
        return list(inputs)

    def time_once(self, inputs):
        self.agent.log.append(("first", inputs[0]))
        return self.agent.first_us

    def time(self, inputs, *, warmup, repeats):
        self.agent.log.append(("time", warmup, repeats))
        assert inputs[0].shape[0] == 1
        return np.arange(1, repeats + 1, dtype=np.float64)


@dataclass
class FakeAgent:
    number: int
    log: list
    first_us: float
    profile_answer: object
    spec: TensorSpec
    limit_s: float
    facts = DeviceFacts("aarch64", "3.11", "Cortex-A72", 4, ("asimd",), 3790.0, 50.0)

    def open(self, artifact, runtime, threads):
        self.log.append(("open", artifact.name, runtime, threads))
        return FakeOpened(self, inputs=(self.spec,))

    def start_times_ms(self, repeats):
        # The second fresh process is the fast one, the first the slow one.
        return np.array([(30.0, 10.0, 20.0)[self.number]] * repeats)

    def throttle_state(self):
        self.log.append(("throttle",))
        return COOL

    def peak_memory_mb(self):
        self.log.append(("memory",))
        return 33.5

    def profile(self, artifact, runtime, inputs, *, threads, warmup, repeats):
        assert (artifact.name, runtime, threads, len(inputs)) == ("model.tflite", "litert", 1, 1)
        self.log.append(("profile", warmup, repeats))
        if isinstance(self.profile_answer, Exception):
            raise self.profile_answer
        return self.profile_answer


@dataclass
class FakeBoard:
    name: str = "board"
    emulated: bool = False
    first_us: float = 4_000.0
    profile_answer: object = (OperatorTime("conv", "Conv", "CPU", 12.0),)
    spec: TensorSpec = CODES
    limit_s: float = 300.0
    log: list = field(default_factory=list)
    started: int = 0

    @contextmanager
    def start_agent(self):
        self.log.append(("start",))
        self.started += 1
        yield FakeAgent(self.started - 1, self.log, self.first_us, self.profile_answer, self.spec, self.limit_s)


def run(board, **options):
    return measure(ARTIFACT, board, "litert", rng=np.random.default_rng(0), **options)


def steps(board, kind):
    return [entry for entry in board.log if entry[0] == kind]


def test_the_cold_start_is_that_of_the_median_process_with_its_parts():
    report = run(FakeBoard(), threads=3)
    start = report.timing.cold_start
    assert (start.process_ms, start.import_ms, start.load_ms, start.first_inference_ms) == (20.0, 150.0, 20.0, 4.0)
    assert start.total_ms == 194.0
    document = report.to_json()
    assert document["cold_start_ms"] == sum(document["cold_start"].values())


def test_every_process_is_fresh_and_opens_the_artifact_as_asked():
    board = FakeBoard()
    run(board, threads=3)
    assert steps(board, "start") == [("start",)] * 3
    assert steps(board, "open") == [("open", "model.tflite", "litert", 3)] * 3


def test_sensors_are_read_around_the_runs_and_memory_before_the_profiler():
    board = FakeBoard()
    run(board, repeats=40, per_operator=True)
    after_the_last_start = [entry[0] for entry in board.log[-6:]]
    assert after_the_last_start == ["first", "throttle", "time", "throttle", "memory", "profile"]
    assert steps(board, "time") == [("time", 20, 40)]
    assert steps(board, "profile") == [("profile", 5, 40)]


def test_many_runs_are_asked_for_in_parts_that_a_hang_is_not_mistaken_for(monkeypatch):
    monkeypatch.setattr(latency, "SECONDS_A_REQUEST", 1.0)
    board = FakeBoard(first_us=10_000.0)
    report = run(board, repeats=250)
    assert steps(board, "time") == [("time", 20, 100), ("time", 1, 100), ("time", 1, 50)]
    assert len(report.timing.latencies_us) == 250


def test_the_parts_are_smaller_where_the_user_calls_it_a_hang_sooner():
    board = FakeBoard(first_us=10_000.0, limit_s=2.0)
    run(board, repeats=80)
    assert steps(board, "time") == [("time", 20, 50), ("time", 1, 30)]


def test_a_run_that_takes_longer_than_a_request_should_is_still_asked_for_once():
    board = FakeBoard(first_us=60e6)
    run(board, repeats=2)
    assert steps(board, "time") == [("time", 1, 1), ("time", 1, 1)]


def test_an_emulated_device_runs_and_shows_no_time():
    board = FakeBoard(emulated=True)
    report = run(board, per_operator=True)
    assert [entry[0] for entry in board.log] == ["start", "open", "run"]
    document = report.to_json()
    assert document["emulated"] is True
    for name in ("cold_start_ms", "p50", "p90", "p99", "peak_memory_mb", "images_per_s", "operators"):
        assert document[name] is None
    assert document["residency"] == {"XNNPACK": 0.75, "builtin": 0.25}


def test_emulated_and_real_devices_have_the_same_fields():
    assert set(run(FakeBoard(emulated=True)).to_json()) == set(run(FakeBoard()).to_json())


def test_operators_are_those_of_the_profiler_or_come_with_the_reason():
    assert run(FakeBoard()).timing.operators is None
    told = run(FakeBoard(), per_operator=True).timing
    assert told.operators == (OperatorTime("conv", "Conv", "CPU", 12.0),)
    silent = run(FakeBoard(profile_answer=RuntimeUnavailableError("litert tells none")), per_operator=True)
    assert silent.timing.operators is None
    assert silent.to_json()["operators_reason"] == "litert tells none"


def test_a_crash_of_the_profiler_is_not_taken_for_its_absence():
    with pytest.raises(DeviceFailedError, match="SIGSEGV"):
        run(FakeBoard(profile_answer=DeviceFailedError("SIGSEGV")), per_operator=True)


def test_random_inputs_cover_the_range_of_the_type_and_come_from_the_seed():
    first, second, third = FakeBoard(), FakeBoard(), FakeBoard()
    run(first)
    run(second)
    measure(ARTIFACT, third, "litert", rng=np.random.default_rng(1))
    inputs = [steps(board, "first")[0][1] for board in (first, second, third)]
    np.testing.assert_array_equal(inputs[0], inputs[1])
    assert (inputs[0] != inputs[2]).any()
    assert inputs[0].dtype == np.int8
    assert inputs[0].shape == (1, 3)


def test_a_sample_is_encoded_as_the_model_takes_it():
    board = FakeBoard(spec=TensorSpec("pixels", (1, 2, 2, 1), "float32"))
    images = np.array([[[[0], [255]], [[51], [102]]]] * 2, np.uint8)
    run(board, sample=Input(images, Preprocessing(2, 2, 1)))
    np.testing.assert_allclose(steps(board, "first")[0][1].ravel(), [0, 1, 0.2, 0.4], atol=1e-6)


def test_no_runs_are_refused():
    with pytest.raises(InputError, match="repeats must be at least 1, got 0"):
        run(FakeBoard(), repeats=0)
