"""What the agent adds to a batch-1 latency: `AgentRuntime.time` against a bare interpreter loop in a fresh process.

Both sides run the same int8 file in LiteRT with one thread and time each run by itself: the input is copied in, the
graph is invoked, the output is copied out. The bare side is a script without edge_cnn. A process may be lucky with its
memory for as long as it lives, so there are several pairs of processes, and several rounds a pair.

`run` over the pipe is told as well: what it takes above `time` is the way there and back, which a host pays and a
device's own program does not.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from side_by_side import BARE, EDGE_CNN, alternate, compile_as_installed, result, run_as_script

from edge_cnn.core.bundle import read_bundle
from edge_cnn.verify.agent_runtime import AgentRuntime
from edge_cnn.verify.devices.table import parse_device

GOAL = 1.05
PROCESSES, ROUNDS = 6, 12
WARMUP, REPEATS = 20, 300

BARE_SCRIPT = """
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
image = np.load(sys.argv[2])
set_tensor, invoke, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
input_index, output_index = inputs["index"], outputs["index"]
clock = time.perf_counter_ns
for line in sys.stdin:
    warmup, repeats = map(int, line.split())
    times = []
    for _ in range(warmup):
        set_tensor(input_index, image)
        invoke()
        get_tensor(output_index)
    for _ in range(repeats):
        start = clock()
        set_tensor(input_index, image)
        invoke()
        output = get_tensor(output_index)
        times.append(clock() - start)
    print(np.median(times) / 1e3, *output.ravel(), flush=True)
"""


def start_bare(stack: ExitStack, model: Path, image: Path) -> Callable[[], tuple[float, list[int]]]:
    """A function to the median microseconds of a round in the bare process, and its output codes."""
    child = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", BARE_SCRIPT, str(model), str(image)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    )

    def ask() -> tuple[float, list[int]]:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{WARMUP} {REPEATS}\n")
        child.stdin.flush()
        median, *codes = child.stdout.readline().split()
        return float(median), [int(code) for code in codes]

    return ask


def round_trip_us(opened: AgentRuntime, inputs: tuple[NDArray[Any], ...]) -> float:
    times: list[float] = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        opened.run(inputs)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def measure(bundle_path: Path, processes: int = PROCESSES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Median microseconds of both sides and the median ratio of a round; `round_trip` in microseconds besides."""
    compile_as_installed()
    bundle = read_bundle(bundle_path)
    assert bundle.golden is not None
    artifact = bundle.artifacts[0]
    codes = (np.ascontiguousarray(bundle.golden.inputs[:1]) ^ np.uint8(0x80)).view(np.int8)
    times: dict[str, list[float]] = {EDGE_CNN: [], BARE: []}
    trips: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        model, image = Path(folder) / "model.tflite", Path(folder) / "image.npy"
        model.write_bytes(artifact.data)
        np.save(image, codes)
        for _ in range(processes):
            with ExitStack() as stack:
                agent = stack.enter_context(parse_device("local").start_agent())
                opened = agent.open(artifact, "litert", 1)
                bare = start_bare(stack, model, image)
                (output,) = opened.run((codes,))
                assert bare()[1] == output.ravel().tolist(), "both sides must give the same answer"
                sides = {
                    EDGE_CNN: lambda o=opened: float(np.median(o.time((codes,), warmup=WARMUP, repeats=REPEATS))),
                    BARE: lambda b=bare: b()[0],
                }
                for side, found in alternate(sides, rounds).items():
                    times[side] += found
                trips.append(round_trip_us(opened, (codes,)))
    row = result("agent, batch 1, resnet8 int8", times, unit="us", goal=GOAL)
    trip = statistics.median(trips)
    note = f"a run over the agent's pipe and back takes {trip:.0f} us, of which the device computes {row[EDGE_CNN]:.0f}"
    return row | {"round_trip": trip, "note": note}


if __name__ == "__main__":
    sys.exit(run_as_script(measure, __doc__))
