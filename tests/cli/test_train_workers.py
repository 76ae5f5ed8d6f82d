"""What `edge-cnn train` says with several workers, without starting any."""

from types import SimpleNamespace

import pytest

from edge_cnn.cli.console import Console
from edge_cnn.cli.main import main
from edge_cnn.cli.train_workers import Crew, joined
from edge_cnn.host.training import TrainConfig
from edge_cnn.host.workers import meeting, supervisor, team
from edge_cnn.host.workers.cluster import Cluster
from edge_cnn.host.workers.team import PEER_LOST

HERE = ["--workers", "2"]
THERE = ["--worker-addresses", "a:1,b:2", "--worker-index", "1"]


@pytest.fixture
def train(tmp_path, capsys, monkeypatch):
    """Runs `edge-cnn train` on a small data set; exit status and the lines on stderr."""
    monkeypatch.delenv("TF_CONFIG", raising=False)

    def run(*words):
        status = main(["train", "--data", "spiral", *words, "--out", str(tmp_path / "out")])
        return status, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*HERE, *THERE], "error: --workers 2: --worker-addresses tells their number already; leave --workers out"),
        (["--workers", "0"], "error: --workers 0: it must be at least 1; try 2"),
        (
            ["--worker-timeout", "5"],
            "error: --worker-timeout 5: it is how long workers wait for each other; add --workers with their number",
        ),
    ],
)
def test_options_that_do_not_go_together_are_one_line_with_what_to_do(train, words, said):
    assert train(*words) == (2, [said])


def lost_twice(out, status):
    """In place of the workers: one is lost before the first checkpoint, one after it."""

    def supervise(_command, _clusters, on_loss):
        on_loss("worker 1 was lost")
        out.mkdir(exist_ok=True)
        (out / "checkpoint.npz").write_bytes(b"")
        on_loss("worker 1 was lost")
        return status

    return supervise


def test_workers_start_again_from_the_beginning_where_there_is_no_checkpoint(train, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "supervise", lost_twice(tmp_path / "out", 0))
    status, lines = train(*HERE, "--worker-timeout", "5")
    assert status == 0
    assert [line for line in lines if "lost" in line] == [
        "worker 1 was lost; all workers start again from the beginning, as there is no checkpoint yet",
        "worker 1 was lost; all workers start again from the last checkpoint",
    ]


@pytest.mark.parametrize(("status", "ends"), [(0, ["the training has ended; the chief at a:1 has its files"]), (3, [])])
def test_a_supervisor_without_the_chief_speaks_of_it_only_as_far_as_it_knows(
    train, tmp_path, monkeypatch, status, ends
):
    monkeypatch.setattr(supervisor, "supervise", lost_twice(tmp_path / "out", status))
    ended, lines = train(*THERE)
    assert ended == status
    assert [line for line in lines if "chief" in line] == [
        *["worker 1 was lost; all workers start again from the chief's last checkpoint, or from the beginning "
          "where it has none"] * 2,
        *ends,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("is_here", "status", "said"),
    [
        (False, 3, "the training ended with status 3; the chief at a:1 says why\n"),
        (True, 3, ""),
        (False, PEER_LOST, ""),
    ],
)
def test_a_worker_that_ends_with_its_chief_says_where_to_look(tmp_path, monkeypatch, capsys, is_here, status, said):
    class Met:
        state, is_chief = b"", False

        def __init__(self, *_arguments):
            pass

        def hear_ctrl_c(self):
            pass

        def end(self, _status, _message=""):
            return status

    monkeypatch.setattr(meeting, "meet", lambda *_arguments: None)
    monkeypatch.setattr(supervisor, "end_with_supervisor", lambda: None)
    monkeypatch.setattr(team, "Team", Met)
    part = SimpleNamespace(fingerprint=lambda: "")
    crew = Crew(Cluster(("a:1", "b:2"), 1), 2, 5.0, 0, is_here)
    console = Console(json=False, quiet=True, seed=0)
    with (
        pytest.raises(SystemExit) as ended,
        joined(crew, TrainConfig(), SimpleNamespace(train=part, test=part), tmp_path, False, console),
    ):
        pass
    assert ended.value.code == status
    assert capsys.readouterr().err == said
