"""Starts the workers of this machine, and starts them again together when one of the team was lost.

TensorFlow's collective sums cannot take a new process into a running group, so all workers end when one is lost, meet
again, and go on from the chief's last saved state. A supervisor on each machine sees to that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.host.workers.cluster import VARIABLE, Cluster
from edge_cnn.host.workers.team import PEER_LOST

ATTEMPT = "EDGE_CNN_WORKER_ATTEMPT"
"""Environment variable of a worker that a supervisor started: how often the team had to start again before, from 0."""

RESTARTS = 10
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_FOLLOW = 60.0
"""How long the chief may take to end when another worker has failed."""


@dataclass(frozen=True)
class _Child:
    cluster: Cluster
    process: subprocess.Popen[bytes]


def attempt_of(environment: Mapping[str, str]) -> int | None:
    """How often this worker's team had to start again; None in a process that is no supervised worker."""
    value = environment.get(ATTEMPT, "")
    return int(value) if value.isdecimal() else None


def local_clusters(workers: int) -> list[Cluster]:
    """Workers on this machine, on ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    return [Cluster(addresses, index) for index in range(workers)]


def supervise(
    command: Sequence[str],
    clusters: Callable[[], list[Cluster]],
    on_loss: Callable[[str], None],
    restarts: int = RESTARTS,
) -> int:
    """Run the workers of this machine to their end.

    Args:
        command: of each worker.
        clusters: one for each worker of this machine, asked for anew at each start.
        on_loss: told of a lost worker before all start again.
        restarts: at most so many.

    Returns:
        the exit status of the chief, or of the first worker here where the chief is elsewhere.

    Raises:
        CheckFailedError: a worker was lost once more after all restarts.
        KeyboardInterrupt: Ctrl-C, twice.
    """
    for attempt in range(restarts + 1):
        children = [_start(command, cluster, attempt) for cluster in clusters()]
        try:
            outcome = _wait(children)
        finally:
            for child in children:
                child.process.kill()
                child.process.wait()
                if child.process.stdin is not None:
                    child.process.stdin.close()
        if isinstance(outcome, int):
            return outcome
        on_loss(outcome)
    raise CheckFailedError(
        f"a worker was lost {restarts + 1} times, the training is given up; look for what kills it, memory for example"
    )


def end_with_supervisor() -> None:
    """Make this worker end when its supervisor has gone, whose pipe is its standard input."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(PEER_LOST)

    threading.Thread(target=watch, daemon=True).start()


def _start(command: Sequence[str], cluster: Cluster, attempt: int) -> _Child:
    environment = os.environ | {VARIABLE: cluster.to_tf_config(), ATTEMPT: str(attempt)}
    # Of its own session, so that Ctrl-C in a terminal comes to the supervisor alone, which asks all of them in order.
    process = subprocess.Popen(list(command), env=environment, stdin=subprocess.PIPE, start_new_session=True)
    return _Child(cluster, process)


def _wait(children: list[_Child]) -> int | str:
    """The status that the training ended with, or who was lost."""
    asked = False
    deadline = float("inf")
    while time.monotonic() < deadline:
        try:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            if asked:
                raise
            asked = True
            for child in children:
                child.process.send_signal(signal.SIGINT)
        statuses = [child.process.poll() for child in children]
        for child, status in zip(children, statuses, strict=True):
            if status is not None and status < 0:
                return f"worker {child.cluster.index} was killed by signal {-status}"
        if PEER_LOST in statuses:
            return "another worker was lost"
        if statuses[0] is not None:  # the chief's, where it is here: the others have nothing left to do
            return statuses[0]
        if deadline == float("inf") and any(statuses):
            deadline = time.monotonic() + SECONDS_TO_FOLLOW
    return next(child.process.returncode for child in children if child.process.returncode)


def worker_command(words: Sequence[str]) -> list[str]:
    """The command line `edge-cnn WORDS` for a worker, run by this interpreter."""
    return [sys.executable, "-m", "edge_cnn", *words]
