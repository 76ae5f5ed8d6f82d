"""The supervisor with small programs in place of workers."""

import signal
import sys

import pytest

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.host.workers.supervisor import ATTEMPT, attempt_of, local_clusters, supervise
from edge_cnn.host.workers.team import PEER_LOST

PROGRAM = """
import json, os, signal, sys, time
index, attempt = json.loads(os.environ["TF_CONFIG"])["task"]["index"], int(os.environ["ATTEMPT"])
with open(sys.argv[1], "a") as log:
    print(index, attempt, file=log)
while open(sys.argv[1]).read().count(f" {attempt}") < 2:  # the supervisor ends the one when the other has ended
    time.sleep(0.02)
""".replace("ATTEMPT", ATTEMPT)


def run(body, tmp_path, **named):
    """Status, what was told, and the lines of all workers."""
    told, log = [], tmp_path / "log"
    try:
        status = supervise(
            [sys.executable, "-c", PROGRAM + body, str(log)], lambda: local_clusters(2), told.append, **named
        )
    except CheckFailedError as error:
        status = error
    return status, told, sorted(log.read_text().splitlines())


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_status_is_the_chiefs(tmp_path, status):
    body = f"sys.exit({status} if index == 0 else 2)"
    assert run(body, tmp_path) == (status, [], ["0 0", "1 0"])


def test_all_start_again_when_one_is_killed(tmp_path):
    body = f"""
if attempt == 0:
    os.kill(os.getpid(), signal.SIGKILL) if index else sys.exit({PEER_LOST})
"""
    told = f"worker 1 was killed by signal {signal.SIGKILL.value}"
    assert run(body, tmp_path) == (0, [told], ["0 0", "0 1", "1 0", "1 1"])


def test_a_worker_that_is_killed_each_time_ends_it_as_a_failed_check(tmp_path):
    body = f"os.kill(os.getpid(), signal.SIGKILL) if index == 0 else sys.exit({PEER_LOST})"
    status, told, lines = run(body, tmp_path, restarts=2)
    assert "a worker was lost 3 times, the training is given up" in str(status)
    assert len(told) == 3
    assert len(lines) == 6


def test_a_worker_knows_that_it_is_supervised():
    assert attempt_of({}) is None
    assert attempt_of({ATTEMPT: "2"}) == 2
