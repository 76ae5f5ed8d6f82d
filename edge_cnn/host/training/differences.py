"""Which options of a training differ from those that something on disk began with, by the names that a user types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_OPTIONS = {
    "architecture": "--arch",
    "augmentation": "--augment",
    "initialization": "--init",
    "normalization": "--normalize",
    "origin": "--from or --freeze",
}
"""Where the option is called otherwise than the field of the configuration."""


def option_of(name: str) -> str:
    """The option of a field of `TrainConfig`."""
    return _OPTIONS.get(name, f"--{name.replace('_', '-')}")


def differing(began: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of the fields in which two values of `TrainConfig.to_json` differ once JSON has held them, in order.

    Another optimizer brings a learning rate and a weight decay of its own, which are not named beside it.
    """
    first, second = (json.loads(json.dumps(options)) for options in (began, now))
    names = [name for name in sorted(first | second) if first.get(name) != second.get(name)]
    return [name for name in names if "optimizer" not in names or name not in ("learning_rate", "weight_decay")]


def told(names: Sequence[str], began: Mapping[str, Any]) -> str:
    """Their options, each with the value that it began with."""
    return ", ".join(f"{option_of(name)} (it began with {_shown(began.get(name))})" for name in names)


def _shown(value: Any) -> str:
    return "none" if value is None else "others" if isinstance(value, dict) else str(value)
