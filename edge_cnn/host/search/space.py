"""What a search may change, from where to where: one row a parameter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_cnn.host.training.augmentation import Augmentation
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.optimizers import OPTIMIZERS, find_optimizer

BATCH_SIZES = (16, 32, 64, 128)

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A row of the table.

    Attributes:
        name: in studies and files.
        summary: what it is and its range, for a person.
        fields: of `TrainConfig` that it decides: what the user gives stays as it is.
        is_open: whether there is anything to search, for a configuration and a number of training samples.
        suggest: an Optuna trial, a configuration and a number of training samples -> value.
        start: its value in a configuration, which may lie outside of the range.
        ends: of the range of a number; None for choices, which hold the configuration's own.
        apply: a configuration, the value -> the configuration with it; in the order of the table.
    """

    name: str
    summary: str
    fields: tuple[str, ...]
    is_open: Callable[[TrainConfig, int], bool]
    suggest: Callable[[Any, TrainConfig, int], Any]
    start: Callable[[TrainConfig], Any]
    ends: tuple[float, float] | None
    apply: Callable[[TrainConfig, Any], TrainConfig]


RATE_FACTORS = (1 / 30, 10.0)
WEIGHT_DECAYS = (1e-6, 0.1)
STRENGTHS = (0.0, 2.0)
WARM_UPS = (0.0, 0.2)


def _always(config: TrainConfig, samples: int) -> bool:
    del config, samples
    return True


def _batch_sizes(config: TrainConfig, samples: int) -> list[int]:
    """Those with at least four steps an epoch, and the configuration's own."""
    return sorted({*(size for size in BATCH_SIZES if 4 * size <= samples), config.batch_size})


def _with_optimizer(config: TrainConfig, name: str) -> TrainConfig:
    # A rate and a weight decay are good for an optimizer, so they go with it.
    return (
        config if name == config.optimizer else replace(config, optimizer=name, learning_rate=None, weight_decay=None)
    )


def _rate_factor(config: TrainConfig) -> float:
    return config.peak_rate / find_optimizer(config.optimizer).learning_rate


def _with_rate(config: TrainConfig, factor: float) -> TrainConfig:
    return replace(config, learning_rate=factor * find_optimizer(config.optimizer).learning_rate)


def _weight_decay(config: TrainConfig) -> float:
    return find_optimizer(config.optimizer).weight_decay if config.weight_decay is None else config.weight_decay


def strengthened(augmentation: Augmentation, strength: float) -> Augmentation | None:
    """Changes that go `strength` times as far; None for 0."""
    if strength == 0:
        return None
    lengths = ("rotation", "zoom", "shift", "shear")
    further = {name: strength * getattr(augmentation, name) for name in lengths}
    return replace(augmentation, **further, blur=min(1.0, strength * augmentation.blur))


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "optimizer",
        ", ".join(OPTIMIZERS),
        ("optimizer",),
        _always,
        lambda trial, _config, _samples: trial.suggest_categorical("optimizer", list(OPTIMIZERS)),
        lambda config: config.optimizer,
        None,
        _with_optimizer,
    ),
    Parameter(
        "rate factor",
        "learning rate: 1/30 to 10 times the optimizer's own, logarithmic",
        ("learning_rate",),
        _always,
        lambda trial, _config, _samples: trial.suggest_float("rate factor", *RATE_FACTORS, log=True),
        _rate_factor,
        RATE_FACTORS,
        _with_rate,
    ),
    Parameter(
        "batch size",
        f"{', '.join(map(str, BATCH_SIZES))}, with at least four steps an epoch, and the one without a search",
        ("batch_size",),
        lambda config, samples: len(_batch_sizes(config, samples)) > 1,
        lambda trial, config, samples: trial.suggest_categorical("batch size", _batch_sizes(config, samples)),
        lambda config: config.batch_size,
        None,
        lambda config, size: replace(config, batch_size=size),
    ),
    Parameter(
        "weight decay",
        f"{WEIGHT_DECAYS[0]:g} to {WEIGHT_DECAYS[1]:g}, logarithmic",
        ("weight_decay",),
        _always,
        lambda trial, _config, _samples: trial.suggest_float("weight decay", *WEIGHT_DECAYS, log=True),
        _weight_decay,
        WEIGHT_DECAYS,
        lambda config, decay: replace(config, weight_decay=decay),
    ),
    Parameter(
        "augmentation",
        "0 to 2 times as far as the named augmentation; not with none",
        ("augmentation",),
        lambda config, _samples: config.augmentation is not None,
        lambda trial, _config, _samples: trial.suggest_float("augmentation", *STRENGTHS),
        lambda _config: 1.0,
        STRENGTHS,
        lambda config, strength: replace(
            config, augmentation=None if config.augmentation is None else strengthened(config.augmentation, strength)
        ),
    ),
    Parameter(
        "warm-up",
        f"{WARM_UPS[0]:g} to {WARM_UPS[1]:g} of the steps",
        ("warm_up",),
        _always,
        lambda trial, _config, _samples: trial.suggest_float("warm-up", *WARM_UPS),
        lambda config: config.warm_up,
        WARM_UPS,
        lambda config, share: replace(config, warm_up=share),
    ),
)


def open_parameters(config: TrainConfig, given: Collection[str], samples: int) -> list[Parameter]:
    """What is searched.

    Args:
        config: where the search begins.
        given: fields that the user gave.
        samples: of the training part.
    """
    return [row for row in PARAMETERS if not set(row.fields) & set(given) and row.is_open(config, samples)]


def fixed_fields(config: TrainConfig, given: Collection[str], samples: int) -> list[str]:
    """Fields that would be searched if the user had not given them; arguments as `open_parameters`."""
    return sorted(set(given) & {name for row in PARAMETERS if row.is_open(config, samples) for name in row.fields})


def configure(config: TrainConfig, values: Values) -> TrainConfig:
    """The configuration with the values of a trial, by name of their parameters."""
    for row in PARAMETERS:
        if row.name in values:
            config = row.apply(config, values[row.name])
    return config


def own_values(config: TrainConfig, parameters: list[Parameter]) -> dict[str, Any]:
    """The values of the configuration itself, whatever they are: those of the training without a search."""
    return {row.name: row.start(config) for row in parameters}


def within_ranges(values: Values, parameters: list[Parameter]) -> dict[str, Any]:
    """Values as a study can hold them: those outside of a range at its nearer end."""
    ends = {row.name: row.ends for row in parameters}
    return {name: _between(value, ends[name]) for name, value in values.items()}


def _between(value: Any, ends: tuple[float, float] | None) -> Any:
    return value if ends is None else min(max(value, ends[0]), ends[1])
