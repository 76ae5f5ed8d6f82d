"""The file of a search: trials of several processes, of this start and of earlier ones, in an SQLite database.

A process that is killed leaves a trial that nobody works on. Each trial names its process, so the next one on this
machine that looks sees that it has gone, and takes the same values again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import InputError, UnavailableError

NAME = "edge-cnn"
SECONDS_FOR_A_LOCK = 120

_ORIGIN, _PROCESS = "origin", "process"


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
            try:
                storage = self.optuna.storages.RDBStorage(
                    f"sqlite:///{path.absolute()}", engine_kwargs={"connect_args": {"timeout": SECONDS_FOR_A_LOCK}}
                )
                self.study = self.optuna.create_study(
                    study_name=NAME, storage=storage, direction="minimize", load_if_exists=True
                )
            # SQLAlchemy and Alembic raise many kinds for what is no database, or none of Optuna's.
            except Exception as error:
                reason = str(error).partition("\n")[0]
                raise InputError(f"{path} is no study of a search ({reason}); give another --study") from error
            began = self.study.user_attrs.get(_ORIGIN)
            if began is None:
                self.study.set_user_attr(_ORIGIN, origin)
        other = [name for name, value in _plain(origin).items() if began is not None and began.get(name) != value]
        if other:
            raise InputError(
                f"{path} is a search with other {' and '.join(other)}; "
                "give the same options and data, or another --study"
            )

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

    def is_running(self, trial: Any) -> bool:
        return trial.state == self.optuna.trial.TrialState.RUNNING

    def take_back_lost(self) -> int:
        """Give up the trials of processes that have gone, and put their values next in line; how many there were."""
        lost = [trial for trial in self.trials() if self.is_running(trial) and not _is_alive(trial.user_attrs)]
        for trial in lost:
            self.give_up(trial.number, trial.params)
        return len(lost)

    def give_up(self, number: int, values: dict[str, Any]) -> None:
        """End a trial without a result, and put its values next in line."""
        self.study.tell(number, state=self.optuna.trial.TrialState.FAIL)
        # Of a trial that had chosen nothing yet there is nothing to take again.
        if values:
            self.enqueue(values)

    def enqueue(self, values: dict[str, Any]) -> None:
        self.study.enqueue_trial(values)

    def ask(self, seed: int) -> Any:
        """A new trial, whose values are a function of the seed and of the trials before it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            self.study.sampler = self.optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        trial = self.study.ask()
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
