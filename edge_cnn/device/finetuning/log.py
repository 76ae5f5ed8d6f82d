"""The log of a fine-tuning: what went in and what came out, so that it can be done again to the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

from edge_cnn import __version__
from edge_cnn.core.errors import CheckFailedError, InputError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.data import FinetuneData, origin_of
from edge_cnn.device.finetuning.result import FinetuneConfig, FinetuneResult
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.training.head_training import TrainedHead, TrainingConfig
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings

SCHEMA = 1
MAX_BYTES = 2**26

NAMES = {
    "machine": "kind of processor",
    "artifact": "model file",
    "runtime": "runtime",
    "kernels": "kernels",
    "preprocessing": "input range",
}
"""What must be the same, the first to be told first: on another processor runtime and kernels are others too."""


def log_of(
    origin: dict[str, Any],
    config: FinetuneConfig,
    class_names: Sequence[str] | None,
    data: FinetuneData,
    trained: TrainedHead,
    predicted: PredictedGain,
    head: SoftmaxHead,
    tuned: Classifier,
) -> dict[str, Any]:
    """JSON values: what went in, the way, and hashes of what came out."""
    return {
        "schema": SCHEMA,
        "edge_cnn": __version__,
        "origin": origin,
        "config": asdict(config),
        "class_names": None if class_names is None else list(class_names),
        "data": {"samples": len(data.rows), "sha256": data.sha256, "replay_sha256": data.replay_sha256},
        "holdout": [int(row) for row in np.sort(data.rows[data.new.holdout])],
        "predicted": asdict(predicted),
        "optimizer": trained.optimizer,
        "learning_rate": trained.learning_rate,
        "steps": trained.steps,
        "history": [[done.loss, done.holdout_loss, done.holdout_accuracy] for done in trained.history],
        "head_sha256": _head_hash(head),
        "artifact_sha256": tuned.artifact.sha256,
        "bundle_sha256": None if tuned.bundle is None else hashlib.sha256(tuned.bundle.to_bytes()).hexdigest(),
    }


def read_log(path: Path) -> dict[str, Any]:
    """What `finetune --log` wrote. Raises: InputError: it cannot be read, or is no log of a version known here."""
    try:
        with path.open("rb") as file:
            found: Any = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise InputError(f"cannot read the log {path}: {error.strerror}; check the name") from error
    # Brackets nested too deep end in the latter.
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is no log of a fine-tuning: {error}; give what 'finetune --log FILE' wrote"
        ) from error
    log = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if "head_sha256" not in log:
        raise InputError(f"{path} is no log of a fine-tuning; give what 'finetune --log FILE' wrote")
    if log.get("schema") != SCHEMA:
        raise InputError(f"{path} is a log of schema {log.get('schema')}, not {SCHEMA}; use the edge_cnn that wrote it")
    names: Any = log.get("class_names")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(n, str) for n in cast("list[Any]", names))
    ):
        raise InputError(f"{path}: class_names are damaged; give another log")
    if not isinstance(log.get("origin"), dict):
        raise InputError(f"{path} does not say what it was made with; give another log")
    return log | {"class_names": names}


def config_of(log: dict[str, Any]) -> FinetuneConfig:
    """The settings of a run. Raises: InputError: the log lacks some, or they make no sense."""
    try:
        told: dict[str, Any] = dict(log["config"])
        training: dict[str, Any] = dict(told.pop("training"))
        settings = OptimizerSettings(**training.pop("settings"))
        config = FinetuneConfig(**told, training=TrainingConfig(**training, settings=settings))
        whole = (config.seed, config.memory, settings.passes, settings.batch_size, settings.memory)
        if not all(type(number) is int for number in whole):
            raise ValueError(f"{whole} are not all whole numbers")
        np.random.default_rng(config.seed)  # No seed may be negative.
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the log's settings are damaged: {error}; give another log") from error
    return config


def check_origin(log: dict[str, Any], classifier: Classifier) -> None:
    """Raises: InputError: another model file, runtime or machine than the log's, so that other bytes would come out."""
    now = origin_of(classifier)
    for name, told in NAMES.items():
        was = log["origin"].get(name)
        if was != now[name]:
            raise InputError(
                f"the log was made with another {told}: {was}, here it is {now[name]}; use the same, or tune anew"
            )


def check_reproduced(log: dict[str, Any], result: FinetuneResult) -> None:
    """Raises: InputError: the samples are others. CheckFailedError: the bytes are."""
    now = result.log
    if log.get("data") != now["data"]:
        raise InputError(
            f"the samples are not those of the log: their images, labels, order or replay differ ({_count(log)} "
            f"samples then, {_count(now)} now); give the same --data and --replay, under the same names"
        )
    for name in ("head_sha256", "artifact_sha256", "bundle_sha256"):
        was, found = (str(told.get(name))[:12] for told in (log, now))
        if log.get(name) != now[name]:
            raise CheckFailedError(
                f"other bytes than the log's came out: {name} {found}..., not {was}...; nothing was saved; the log is "
                f"of edge_cnn {log.get('edge_cnn')}, other processors may round otherwise"
            )
    # Or nobody could tell that the log is of this run.
    others = [name for name in sorted(now) if name != "edge_cnn" and _text(log.get(name)) != _text(now[name])]
    if others:
        raise CheckFailedError(
            f"the log tells another {others[0]!r} than this run had; nothing was saved; give the log as it was written"
        )


def _text(value: Any) -> str:
    """As JSON, where a tuple is a list and NaN equals NaN."""
    return json.dumps(value, sort_keys=True)


def _head_hash(head: SoftmaxHead) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(head.weights, "<f8").tobytes())
    digest.update(np.ascontiguousarray(head.bias, "<f8").tobytes())
    return digest.hexdigest()


def _count(log: dict[str, Any]) -> Any:
    data = log.get("data")
    return cast("dict[str, Any]", data).get("samples") if isinstance(data, dict) else "unknown"
