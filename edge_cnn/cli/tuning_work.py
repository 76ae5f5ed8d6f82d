"""`--resume`, `--cache`, `--memory`, `--log` and `--reproduce`: what a fine-tuning keeps beside its result."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edge_cnn.cli.console import PATH, Console
from edge_cnn.cli.output_path import check_apart, check_file
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import SUFFIX as BUNDLE
from edge_cnn.core.errors import InputError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.log import check_origin, config_of, read_log
from edge_cnn.device.finetuning.result import FinetuneConfig, FinetuneResult
from edge_cnn.device.finetuning.work import SUFFIX, FinetuneWork
from edge_cnn.device.slots.folder import read_state

MEGABYTE = 2**20

IN_LOG = (
    "holdout",
    "memory",
    "optimizer",
    "l2",
    "balance",
    "label_smoothing",
    "epochs",
    "patience",
    "batch_size",
    "learning_rate",
    "momentum",
    "classes",
    "add_classes",
    "keep_classes",
    "seed",
)
"""Parameters of the command that --reproduce takes from the log."""


@dataclass(frozen=True)
class TuningWork:
    """What the five options say.

    Attributes:
        resume: go on with what was interrupted.
        cache: file that keeps embeddings, None for the work folder.
        memory: bytes.
        log: file to write the log to.
        reproduce: the log to do again, with its path.
    """

    resume: bool
    cache: Path | None
    memory: int
    log: Path | None
    reproduce: dict[str, Any] | None

    def check_paths(self, out: Path, report: Path | None, *inputs: tuple[str, Path | None]) -> None:
        """Raises: InputError: a file cannot be written, or would be written over another one or an input."""
        if report is not None:
            check_file(report, [".html"], "--report")
        written: dict[str, Path | None] = {"--log": self.log, "--cache": self.cache, "--report": report}
        for option, path in written.items():
            if path is not None:
                check_file(path, option=option)
        check_apart({"--out": out, "the work folder": work_folder(out)} | written)
        for option, path in inputs:
            check_apart({option: path} | written)

    def config(self, asked: FinetuneConfig) -> FinetuneConfig:
        """The settings that count. Raises: InputError: those of the log make no sense."""
        return asked if self.reproduce is None else config_of(self.reproduce)

    def check_origin(self, classifier: Classifier) -> None:
        """Raises: InputError: the log to reproduce is of another model or machine."""
        if self.reproduce is not None:
            check_origin(self.reproduce, classifier)

    @contextlib.contextmanager
    def folder(self, out: Path, console: Console) -> Generator[FinetuneWork]:
        """The work folder beside `out` while it is tuned; an interrupt leaves it, and says how to go on."""
        place = work_folder(out)
        if self.resume and not place.exists():
            console.note("nothing was interrupted here, so it starts from the beginning")
        try:
            with FinetuneWork(place, resume=self.resume, cache=self.cache) as work:
                yield work
        except KeyboardInterrupt:
            console.note(f"interrupted; the same command with --resume goes on, what is done lies in {place}")
            raise

    def was_saved(self, kept: FinetuneWork, model: Path, out: Path, report: Path | None, console: Console) -> bool:
        """Whether an interrupted fine-tuning of `model` had come to write `out` in its place; says what it had found.

        The model that it began with is gone then, and the tuned one must not be tuned again.
        """
        told = kept.announced(_hash_at(out)) if is_in_place(model, out) else None
        if told is None:
            return False
        console.note("it was interrupted when all was saved, so that nothing is left to do")
        if report is not None:
            console.note("the model before is gone, so that no report can be made of it any more")
        self._write_log(told["log"])
        console.result(told["document"], told["summary"])
        return True

    def write_log(self, result: FinetuneResult) -> None:
        """Write the log, where one was asked for. Raises: InputError: it cannot be written."""
        self._write_log(result.log)

    def _write_log(self, log: dict[str, Any]) -> None:
        if self.log is not None:
            write_atomically(self.log, json.dumps(log, indent=1, sort_keys=True).encode() + b"\n")


def is_in_place(model: Path, out: Path) -> bool:
    """Whether the tuned model takes the place of `model`, a file or a slot."""
    return os.path.realpath(model) == os.path.realpath(out)


def announce(kept: FinetuneWork, result: FinetuneResult, out: Path, document: dict[str, Any], summary: str) -> None:
    """Note down what is going to be written to `out`, for `TuningWork.was_saved`. Raises: InputError."""
    tuned = result.classifier
    whole = tuned.bundle is not None and (out.is_dir() or out.suffix.lower() == BUNDLE)
    data = tuned.bundle.to_bytes() if whole and tuned.bundle is not None else tuned.artifact.data
    kept.announce(hashlib.sha256(data).hexdigest(), {"document": document, "summary": summary, "log": result.log})


def _hash_at(out: Path) -> str | None:
    """SHA-256 of a file, or of the active version of a slot."""
    if out.is_dir():
        record = read_state(out).record
        return record.active_version.sha256 if record is not None else None
    try:
        return hashlib.sha256(out.read_bytes()).hexdigest()
    except OSError:
        return None


def work_folder(out: Path) -> Path:
    """The folder beside `out` that keeps the work on it."""
    # "." and ".." have no name of their own, and a link is written where it leads to.
    place = Path(os.path.realpath(out)) if out.name in ("", "..") or out.is_symlink() else out
    return place.with_name(place.name + SUFFIX)


def work_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the five options; the command takes them together as `work`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        resume: bool,
        cache: Path | None,
        memory: float,
        log: Path | None,
        reproduce: Path | None,
        **kwargs: Any,
    ) -> Any:
        if not math.isfinite(memory * MEGABYTE):
            raise InputError(f"--memory must be a number of MB, got {memory}; 32 is a good start")
        told = None
        if reproduce is not None:
            _refuse_given()
            told = read_log(reproduce)
        return command(*args, work=TuningWork(resume, cache, int(memory * MEGABYTE), log, told), **kwargs)

    options = (
        click.option("--resume", is_flag=True, help="Go on where the same command was interrupted."),
        click.option("--cache", type=PATH, help="Keep embeddings in this file, for the next run with these samples."),
        click.option(
            "--memory",
            type=float,
            default=32,
            show_default=True,
            help="MB for images, embeddings and training, above the runtime; 16 or more.",
        ),
        click.option("--log", type=PATH, help="Write a log that --reproduce does again, to the same bytes."),
        click.option("--reproduce", type=PATH, help="Take seed and settings from this log; fail on other bytes."),
    )
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _refuse_given() -> None:
    """Raises: InputError: an option was given whose value is the log's."""
    context = click.get_current_context()
    for name in IN_LOG:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(f"--reproduce takes --{name.replace('_', '-')} from the log; leave it out")
