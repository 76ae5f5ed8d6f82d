"""The file of a search: trials of several processes, of this start and of earlier ones, in an SQLite database.

A process that is killed leaves a trial that nobody works on. Each trial names its process, so the next one on this
machine that looks sees that it has gone, and takes the same values again.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import platform
import sqlite3
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import InputError, UnavailableError
from edge_cnn.host.training.differences import differing, option_of, told

NAME = "edge-cnn"
SECONDS_FOR_A_LOCK = 120

BASELINE = "baseline"
"""Attribute of the trial that is the training without a search."""

PLACE = "place"
"""Attribute with the number of a trial for people: from 1, and the same when it is taken again."""

_ORIGIN, _PROCESS = "origin", "process"
_MARK = b"SQLite format 3\0"


def import_optuna() -> Any:
    """Raises: UnavailableError: it is not installed."""
    try:
        import optuna  # pyright: ignore[reportMissingImports]  # of the extra 'search'
    except ImportError as error:
        raise UnavailableError(f"a search needs Optuna ({error}); pip install 'edge-cnn[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class StudyFile:
    """An Optuna study in a file that several processes share."""

    def __init__(self, path: Path, origin: dict[str, Any]) -> None:
        """Open it, or make it.

        Args:
            path: of the file; its folder is there.
            origin: what the search is of, as JSON can hold.

        Raises:
            InputError: it cannot be written, is no study, or one of something else.
            UnavailableError: Optuna is not installed.
        """
        self.optuna = import_optuna()
        self._path = path
        with self.locked():
            _check_database(path)
            try:
                storage = self.optuna.storages.RDBStorage(
                    f"sqlite:///{path.absolute()}", engine_kwargs={"connect_args": {"timeout": SECONDS_FOR_A_LOCK}}
                )
                self.study = self.optuna.create_study(
                    study_name=NAME, storage=storage, direction="minimize", load_if_exists=True
                )
            # SQLAlchemy and Alembic raise many kinds for what is no database, or none of Optuna's.
            except Exception as error:
                raise InputError(f"{path} is no study of a search ({_reason(error)}); give another --study") from error
            try:
                began = self.study.user_attrs.get(_ORIGIN)
                self.study.get_trials(deepcopy=False)
            # What Optuna, SQLAlchemy and JSON raise on rows that hold something else than they wrote.
            except Exception as error:
                raise _damaged(path, _reason(error)) from error
            if began is None:
                self.study.set_user_attr(_ORIGIN, origin)
        other = "" if began is None else _difference(began, _plain(origin))
        if other:
            raise InputError(f"{path} is a search {other}, or another --study")

    @contextmanager
    def locked(self) -> Generator[None]:
        """What runs in it runs in one process at a time.

        Raises:
            InputError: the file cannot be opened.
        """
        try:
            file = self._path.open("ab")
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror}; give another --study") from error
        with file:
            # SQLite locks with fcntl, which this does not meet.
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def trials(self) -> list[Any]:
        """Optuna's frozen trials, without those that were given up."""
        states = self.optuna.trial.TrialState
        found = self.study.get_trials(deepcopy=False)
        return [trial for trial in found if trial.state not in (states.FAIL, states.WAITING)]

    def _counts(self, trial: Any) -> bool:
        """Whether a trial has a place: it was not given up, and one that waits had begun before."""
        states = self.optuna.trial.TrialState
        return trial.state != states.FAIL and (trial.state != states.WAITING or PLACE in trial.user_attrs)

    def is_running(self, trial: Any) -> bool:
        return trial.state == self.optuna.trial.TrialState.RUNNING

    def take_back_lost(self) -> int:
        """Give up the trials of processes that have gone, and put their values next in line; how many there were."""
        lost = [trial for trial in self.trials() if self.is_running(trial) and not _is_alive(trial.user_attrs)]
        for trial in lost:
            # The process may have gone before the trial had all the values that it was to take.
            values = trial.system_attrs.get("fixed_params", {}) | trial.params
            self.give_up(trial.number, values, trial.user_attrs)
        return len(lost)

    def give_up(self, number: int, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        """End a trial without a result, and put its values next in line, with the place that it had."""
        self.study.tell(number, state=self.optuna.trial.TrialState.FAIL)
        # Of a trial that had chosen nothing yet there is nothing to take again.
        if values or BASELINE in attributes:
            self.enqueue(values, {name: attributes[name] for name in (BASELINE, PLACE) if name in attributes})

    def enqueue(self, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        self.study.enqueue_trial(values, user_attrs=attributes)

    def place(self, trial: Any) -> int:
        """The number of a trial for people."""
        return trial.user_attrs.get(PLACE, trial.number + 1)

    def ask(self, seed: int) -> Any:
        """A new trial, whose values are a function of the seed and of the trials before it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            self.study.sampler = self.optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        taken = {self.place(other) for other in self.study.get_trials(deepcopy=False) if self._counts(other)}
        trial = self.study.ask()
        if PLACE not in trial.user_attrs:
            trial.set_user_attr(PLACE, next(place for place in itertools.count(1) if place not in taken))
        trial.set_user_attr(_PROCESS, [platform.node(), os.getpid()])
        return trial


def _is_alive(attributes: dict[str, Any]) -> bool:
    """Whether the process of a trial is still there; one of another machine is taken to be."""
    node, process = attributes.get(_PROCESS, (platform.node(), os.getpid()))
    if node != platform.node():
        return True
    if process == os.getpid():  # A number that was given again: this process has no trial while it looks.
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True


def _plain(origin: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(origin))


def _check_database(path: Path) -> None:
    """Raises: InputError: no database, one that is damaged, or one of another program, which Optuna would add to."""
    if path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=SECONDS_FOR_A_LOCK)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = "; ".join(row for (row,) in database.execute("PRAGMA integrity_check(1)"))
    except sqlite3.DatabaseError as error:
        if path.read_bytes()[: len(_MARK)] == _MARK:
            raise _damaged(path, str(error)) from error
        raise InputError(f"{path} is no study of a search ({error}); give another --study") from error
    if found != "ok":
        raise _damaged(path, found)
    if tables and "studies" not in tables:
        raise InputError(f"{path} is no study of a search (a database of something else); give another --study")


def _damaged(path: Path, reason: str) -> InputError:
    reason = " ".join(reason.split())[:150]
    return InputError(f"{path} is damaged ({reason}); delete it to search anew, or give another --study")


def _reason(error: BaseException) -> str:
    """What was first in a chain of exceptions: those above it say where, not what."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0] or type(error).__name__


def _difference(began: dict[str, Any], now: dict[str, Any]) -> str:
    """What a study was of and is not now, and what to do; empty where it is of the same."""
    first, second = began.get("configuration", {}), now.get("configuration", {})
    if options := differing(first, second):
        return f"with another {told(options, first)}; give the same"
    if began.get("data") != now.get("data"):
        return "on other data; give the same --data"
    before, after = began.get("given", []), now.get("given", [])
    if missing := [option_of(name) for name in before if name not in after]:
        return f"that was given {', '.join(missing)}; give the same"
    if more := [option_of(name) for name in after if name not in before]:
        return f"that was not given {', '.join(more)}; leave it out"
    return ""
