"""How `edge-cnn train` trains with several workers: as the supervisor of those of this machine, or as one of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edge_cnn.cli.console import Console
from edge_cnn.cli.train_checkpoint import find_checkpoint
from edge_cnn.core.errors import EdgeCnnError, InputError

if TYPE_CHECKING:
    from edge_cnn.host.datasets import Dataset
    from edge_cnn.host.training import TrainConfig, TrainingState
    from edge_cnn.host.training.checkpoint import Checkpoint
    from edge_cnn.host.training.checkpointing import Checkpointing
    from edge_cnn.host.workers.cluster import Cluster
    from edge_cnn.host.workers.team import Team

OPTIONS = (
    click.option("--workers", type=int, help="Train in so many processes of this machine, which share every batch."),
    click.option("--worker-addresses", metavar="HOST:PORT,...", help="Of all workers, the same list on each machine."),
    click.option("--worker-index", type=int, help="Which of them this is; 0 is the chief, which writes the files."),
    click.option(
        "--worker-timeout", type=float, default=300.0, show_default=True, help="Seconds to wait for the others."
    ),
)

SECONDS_FOR_NEWS = 5.0
"""A sum that breaks because a worker was lost may fail before the loss itself is noticed."""


@dataclass(frozen=True)
class Crew:
    """What the user asked for.

    Attributes:
        cluster: all workers and which this is; None for workers of this machine alone, which their supervisor places.
        workers: how many.
        timeout: seconds to wait for the others.
        attempt: how often the team had to start again; None for a supervisor.
        is_here: whether all of them are processes of this machine, so that the chief's words are read here.
    """

    cluster: Cluster | None
    workers: int
    timeout: float
    attempt: int | None
    is_here: bool

    @property
    def supervises(self) -> bool:
        return self.attempt is None

    def quieted(self, console: Console) -> Console:
        """Of the workers only the chief talks."""
        talks = self.supervises or (self.cluster is not None and self.cluster.is_chief)
        return console if talks else dataclasses.replace(console, quiet=True)


def take_crew(chosen: dict[str, Any]) -> Crew | None:
    """Take the options of several workers out of `chosen`; None for a training in one process.

    Raises:
        InputError: options that do not go together.
    """
    from edge_cnn.host.workers.cluster import VARIABLE, Cluster, read_tf_config
    from edge_cnn.host.workers.supervisor import attempt_of

    workers, index, timeout = chosen.pop("workers"), chosen.pop("worker_index"), chosen.pop("worker_timeout")
    addresses: str | None = chosen.pop("worker_addresses")
    attempt = attempt_of(os.environ)
    if attempt is None and (addresses is None) != (index is None):
        raise InputError("--worker-addresses and --worker-index go together; give both, or --workers alone")
    if not 0 < timeout < float("inf"):
        raise InputError(f"worker timeout {timeout}: it must be a positive number of seconds; try 300")
    if workers is not None and addresses is not None:
        raise InputError(f"--workers {workers}: --worker-addresses tells their number already; leave --workers out")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: it must be at least 1; try 2")
    told = click.get_current_context().get_parameter_source("worker_timeout") == ParameterSource.COMMANDLINE
    if told and workers is None and addresses is None and VARIABLE not in os.environ:
        raise InputError(
            f"--worker-timeout {timeout:g}: it is how long workers wait for each other; add --workers with their number"
        )
    if attempt is None and addresses is not None:
        cluster = Cluster(tuple(addresses.split(",")), index)
    else:
        cluster = None if attempt is None and workers is not None else read_tf_config(os.environ)
    count = (workers or 1) if cluster is None else cluster.workers
    return None if count == 1 else Crew(cluster, count, timeout, attempt, workers is not None)


def supervise_workers(crew: Crew, console: Console, config: TrainConfig, words: tuple[str, ...]) -> int:
    """Run this machine's workers to the end; the exit status of the command.

    Raises:
        InputError: more workers than samples in a batch, or a choice by measuring.
        CheckFailedError: a worker was lost again and again.
    """
    from edge_cnn.host.workers.supervisor import local_clusters, supervise, worker_command

    check_work(crew, config)
    cluster = crew.cluster

    def clusters() -> list[Cluster]:
        return local_clusters(crew.workers) if cluster is None else [cluster]

    def on_loss(who: str) -> None:
        console.note(f"{who}; all workers start again from {_place(cluster)}")

    status = supervise(worker_command(words), clusters, on_loss)
    # Why it failed has been said by the worker, which knows whether it ever met the chief.
    if cluster is not None and not cluster.is_chief and status == 0:
        console.note(f"the training has ended; the chief at {cluster.addresses[0]} has its files")
    return status


def _place(cluster: Cluster | None) -> str:
    """Where workers start again, as far as this machine knows."""
    from edge_cnn.host.training.checkpoint import NAME

    if cluster is not None and not cluster.is_chief:
        return "the chief's last checkpoint, or from the beginning where it has none"
    out: Path = click.get_current_context().params["out"]
    return "the last checkpoint" if (out / NAME).exists() else "the beginning, as there is no checkpoint yet"


def check_work(crew: Crew, config: TrainConfig) -> None:
    """Raises: InputError: a worker would have no sample of a batch, or workers would choose for themselves."""
    from edge_cnn.host.training.precision import AUTO, FLOAT32

    if config.precision == AUTO:
        raise InputError(f"precision {AUTO}: workers may measure otherwise than each other; give --precision {FLOAT32}")
    if config.batch_size < crew.workers:
        raise InputError(
            f"{crew.workers} workers share batches of {config.batch_size} samples, so some would have none; "
            "give a larger --batch-size or fewer workers"
        )


@dataclass(frozen=True)
class Member:
    """What a worker's command has of its team: the team, and the checkpoint of the chief to go on from."""

    team: Team
    found: Checkpoint | None


@contextmanager
def joined(
    crew: Crew, config: TrainConfig, dataset: Dataset, out: Path, resume: bool, console: Console
) -> Generator[Member]:
    """Be one of the workers: meet the others before, and end with all of them after.

    Raises:
        InputError, UnavailableError: as `find_checkpoint` and `meet`.
        SystemExit: with the chief's status, in another worker when the chief failed.
    """
    from edge_cnn.host.training.checkpoint import NAME, unpack_checkpoint
    from edge_cnn.host.workers.meeting import meet
    from edge_cnn.host.workers.supervisor import end_with_supervisor
    from edge_cnn.host.workers.team import Team

    assert crew.cluster is not None, "the supervisor told where all workers are"
    check_work(crew, config)
    end_with_supervisor()
    path, state = out / NAME, b""
    # After a loss it goes on from where it was, also where the user did not ask for the first start.
    if crew.cluster.is_chief and find_checkpoint(out, path.exists() if crew.attempt else resume, console) is not None:
        state = path.read_bytes()
    team = Team(crew.cluster, meet(crew.cluster, _facts(config, dataset), crew.timeout, state))
    team.hear_ctrl_c()
    try:
        yield Member(team, unpack_checkpoint(team.state, path) if team.state else None)
    except BaseException as error:
        if not isinstance(error, EdgeCnnError | KeyboardInterrupt):
            time.sleep(SECONDS_FOR_NEWS)
        status = error.exit_status if isinstance(error, EdgeCnnError) else 130
        if team.end(status, str(error)) == status and not team.is_chief:
            raise _ended_with_chief(crew, status) from error
        raise
    status = team.end(0)
    if status:
        raise _ended_with_chief(crew, status)


def _ended_with_chief(crew: Crew, status: int) -> SystemExit:
    """The end of another worker than the chief, which says why; where it is elsewhere, where to look is told."""
    from edge_cnn.host.workers.team import PEER_LOST

    if crew.cluster is not None and not crew.is_here and status != PEER_LOST:
        # Not through the console, which is quiet here: a failure is no remark.
        click.echo(
            f"the training ended with status {status}; the chief at {crew.cluster.addresses[0]} says why", err=True
        )
    return SystemExit(status)


def pausing(team: Team, checkpoints: Checkpointing) -> Callable[[Callable[[], TrainingState]], None]:
    """What a worker does between two calls: the chief writes the state now and then, and all end at the same step."""

    def on_pause(state: Callable[[], TrainingState]) -> None:
        if team.is_ending:
            checkpoints.ask_to_end()
        if team.is_chief:
            checkpoints.on_pause(state)
        if team.is_ending:
            raise KeyboardInterrupt

    return on_pause


def _facts(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """What all workers must have in common, by the names that a refusal uses."""
    from edge_cnn import __version__

    installed: dict[str, str] = {}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "numpy"):
        # TensorFlow itself may not be imported before its server is set up.
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed[name.removesuffix("-cpu")] = metadata.version(name)
    facts = {
        "edge-cnn": __version__,
        "version of": installed,
        "configuration": config.to_json(),
        "training data": dataset.train.fingerprint(),
        "test data": dataset.test.fingerprint(),
    }
    return json.loads(json.dumps(facts))
