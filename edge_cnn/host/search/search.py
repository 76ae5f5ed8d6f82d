"""Trial after trial: values from Optuna, a training, its validation loss back; hopeless ones are stopped early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.search.records import COMPLETE, DIVERGED, PRUNED, SearchResult, Trial
from edge_cnn.host.search.space import (
    PARAMETERS,
    Parameter,
    configure,
    fixed_fields,
    open_parameters,
    own_values,
    within_ranges,
)
from edge_cnn.host.search.study import BASELINE, PLACE, StudyFile
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training import EpochRecord, TrainConfig, train

TRIALS_BEFORE_PRUNING = 4
"""A median of fewer says little."""

SHARE_BEFORE_PRUNING = 0.2
"""Of the epochs: warm-up and luck decide the first ones."""

SECONDS_BETWEEN_LOOKS = 0.5

_DIVERGED, _SECONDS, _EPOCHS = "diverged", "seconds", "epochs"


def search(
    config: TrainConfig,
    samples: LabelledImages,
    trials: int,
    path: Path,
    *,
    given: Collection[str] = (),
    on_trial: Callable[[Trial, int], None] = lambda _trial, _done: None,
    on_epoch: Callable[[int, int, EpochRecord], None] = lambda _number, _done, _record: None,
) -> SearchResult:
    """Find the configuration with the lowest validation loss.

    Args:
        config: the first trial is the training of exactly this one, to its end; its seed makes a search in
            one process repeatable.
        samples: the training part.
        trials: how many the study has at the end, with those of earlier starts and of other processes.
        path: of the study.
        given: fields of `config` that stay as they are.
        on_trial: told of each trial that ended here, and how many have ended in all.
        on_epoch: told of each epoch here: number of the trial, how many have ended in all, record.

    Raises:
        InputError: the file cannot be used.
        UnavailableError: Optuna is not installed.
        CheckFailedError: no trial came to its end with a finite loss.
        KeyboardInterrupt: Ctrl-C; the study keeps what has ended, and begins the interrupted trial again.
    """
    parameters = open_parameters(config, given, len(samples))
    origin = {
        "configuration": config.to_json(),
        "given": fixed_fields(config, given, len(samples)),
        "data": samples.fingerprint(),
    }
    file = StudyFile(path, origin)
    with file.locked():
        if not file.study.get_trials(deepcopy=False):
            file.enqueue(within_ranges(own_values(config, parameters), parameters), {BASELINE: True})
    pruner = file.optuna.pruners.MedianPruner(TRIALS_BEFORE_PRUNING, math.ceil(SHARE_BEFORE_PRUNING * config.epochs))
    file.study.pruner = pruner
    while True:
        with file.locked():
            file.take_back_lost()
            begun = file.trials()
            values: dict[str, Any] = {}
            trial = None
            if len(begun) < trials:
                trial = file.ask(int(np.random.SeedSequence((config.seed, len(begun))).generate_state(1)[0]))
                values = {row.name: row.suggest(trial, config, len(samples)) for row in parameters}
        if trial is None:
            if not any(file.is_running(other) for other in begun):
                return _result(file, config, parameters)
            time.sleep(SECONDS_BETWEEN_LOOKS)  # for those of other processes
            continue
        ended = sum(not file.is_running(other) for other in begun)
        try:
            _run(file, trial, _config_of(trial, config), samples, partial(_forward, on_epoch, ended))
        except BaseException:
            with file.locked():
                file.give_up(trial.number, values, trial.user_attrs)
            raise
        told = next(other for other in file.trials() if other.number == trial.number)
        on_trial(_record(file, told, config), sum(not file.is_running(other) for other in file.trials()))


def _forward(on_epoch: Callable[[int, int, EpochRecord], None], ended: int, number: int, record: EpochRecord) -> None:
    on_epoch(number, ended, record)


def _run(
    file: StudyFile,
    trial: Any,
    config: TrainConfig,
    samples: LabelledImages,
    on_epoch: Callable[[int, EpochRecord], None],
) -> None:
    """Train once, and tell the study what it came to."""
    states, begun = file.optuna.trial.TrialState, time.monotonic()
    best, last = math.inf, 0

    def report(record: EpochRecord) -> None:
        nonlocal best, last
        if record.epoch == 0:
            return
        best, last = min(best, record.val_loss), record.epoch
        trial.report(best, record.epoch)
        on_epoch(trial.user_attrs[PLACE], record)
        if not trial.user_attrs.get(BASELINE) and trial.should_prune():
            raise file.optuna.TrialPruned

    state, diverged = states.COMPLETE, False
    try:
        result = train(config, samples, on_epoch=report)
        if result.interrupted:
            raise KeyboardInterrupt
        diverged = result.diverged
    except file.optuna.TrialPruned:
        state = states.PRUNED
    except CheckFailedError:
        diverged = True
    finally:
        # Else the graphs of all trials would stay in memory.
        import_tensorflow()[1].backend.clear_session()
    for name, value in ((_DIVERGED, diverged), (_SECONDS, round(time.monotonic() - begun, 2)), (_EPOCHS, last)):
        trial.set_user_attr(name, value)
    if diverged:
        state = states.PRUNED
    file.study.tell(trial, best if state == states.COMPLETE else None, state=state)


def _config_of(trial: Any, config: TrainConfig) -> TrainConfig:
    """What a trial trains: exactly `config` where it is the one without a search."""
    return config if trial.user_attrs.get(BASELINE) else configure(config, trial.params)


def _record(file: StudyFile, trial: Any, config: TrainConfig) -> Trial:
    attributes = trial.user_attrs
    is_baseline = bool(attributes.get(BASELINE))
    # What the study holds at the end of a range was not what it trained with.
    own = own_values(config, list(PARAMETERS)) if is_baseline else trial.params
    complete = trial.state == file.optuna.trial.TrialState.COMPLETE
    known = list(trial.intermediate_values.values())
    return Trial(
        file.place(trial),
        DIVERGED if attributes.get(_DIVERGED) else COMPLETE if complete else PRUNED,
        trial.value if complete else min(known, default=None),
        attributes.get(_EPOCHS, 0),
        attributes.get(_SECONDS, 0.0),
        {name: value for name, value in trial.params.items() if value == own[name]},
        _config_of(trial, config).peak_rate,
        is_baseline,
    )


def _result(file: StudyFile, config: TrainConfig, parameters: list[Parameter]) -> SearchResult:
    trials = tuple(sorted((_record(file, trial, config) for trial in file.trials()), key=lambda trial: trial.number))
    complete = [trial for trial in trials if trial.state == COMPLETE]
    if not complete:
        raise CheckFailedError(
            f"none of {len(trials)} trials came to its end with a finite loss; give more --search, or a --learning-rate"
        )
    best = min(complete, key=lambda trial: (trial.val_loss, trial.number))
    return SearchResult(
        trials,
        best.number,
        config if best.baseline else configure(config, best.values),
        _importance(file, config.seed, len(complete)),
        {row.name: row.summary for row in parameters},
    )


def _importance(file: StudyFile, seed: int, complete: int) -> dict[str, float]:
    if complete < TRIALS_BEFORE_PRUNING:
        return {}
    evaluator = file.optuna.importance.FanovaImportanceEvaluator(seed=seed)
    try:
        shares = file.optuna.importance.get_param_importances(file.study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # All trials have the same loss, so nothing goes back to anything.
        return {}
    return {name: float(share) for name, share in shares.items()}
