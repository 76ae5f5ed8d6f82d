"""Mixed precision: layers compute in 16-bit floats, weights and updates stay float32 (Micikevicius et al. 2018).

The policy is set layer by layer on a copy, so neither Keras' global policy nor the network that is left behind changes:
that one is float32, as an export wants it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures.architecture import LOGITS, SCORES
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.normalization import LAYER as NORMALIZATION

FLOAT32, MIXED_BFLOAT16, MIXED_FLOAT16, AUTO = "float32", "mixed-bfloat16", "mixed-float16", "auto"

POLICIES: dict[str, str | None] = {
    FLOAT32: None,
    # As many bits of exponent as float32: nothing overflows sooner, and the loss needs no scale.
    MIXED_BFLOAT16: "mixed_bfloat16",
    MIXED_FLOAT16: "mixed_float16",
}
"""What a name stands for among Keras' dtype policies."""

GAIN = 1.1
"""How many times faster a step must be for `auto` to take 16-bit floats: less than that is within the noise."""

ROUNDS = 5
"""Of a few steps each, in turns, of which the fastest counts."""

SECONDS_A_ROUND = 0.3


@dataclass(frozen=True)
class PrecisionChoice:
    """What `auto` took.

    Attributes:
        precision: a row of `POLICIES`.
        reason: why, with its figures.
    """

    precision: str
    reason: str


def check_precision(name: str) -> None:
    """Raises: InputError: unknown name."""
    if name not in POLICIES and name != AUTO:
        raise InputError(f"unknown precision {name!r}; known: {', '.join((*POLICIES, AUTO))}")


def with_precision(model: Any, name: str) -> Any:
    """A copy of a network that computes in `name`, with weights of the same values; float32 gives the network itself.

    Logits, softmax and so the loss stay in float32, and so does a layer that mends the scale of the inputs.
    """
    policy = POLICIES[name]
    if policy is None:
        return model
    _, keras = import_tensorflow()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in _leaves(copy):
        if layer.name not in (NORMALIZATION, LOGITS, SCORES):
            layer.dtype_policy = policy
    return copy


def with_loss_scale(optimizer: Any, name: str) -> Any:
    """The optimizer as `name` needs it: the small gradients of float16 would be 0 without a scale on the loss."""
    _, keras = import_tensorflow()
    return keras.optimizers.LossScaleOptimizer(optimizer) if name == MIXED_FLOAT16 else optimizer


def is_scaling(optimizer: Any) -> bool:
    """Whether `with_loss_scale` has wrapped it."""
    _, keras = import_tensorflow()
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def choose_precision(steps_in: Callable[[str], Callable[[int], None]]) -> PrecisionChoice:
    """Measure a few steps in float32 and in the 16-bit floats that the hardware computes with, if there are any.

    Args:
        steps_in: precision -> a function that takes so many training steps, on data that is of no matter.
    """
    candidate, hardware = _candidate()
    if candidate is None:
        return PrecisionChoice(FLOAT32, hardware)
    runs = {name: steps_in(name) for name in (FLOAT32, candidate)}
    for run in runs.values():
        run(1)  # traces the graph
    begun = time.perf_counter()
    runs[FLOAT32](1)
    count = max(1, min(50, int(SECONDS_A_ROUND / max(time.perf_counter() - begun, 1e-4))))
    fastest = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            begun = time.perf_counter()
            run(count)
            fastest[name] = min(fastest[name], (time.perf_counter() - begun) / count)
    gain = fastest[FLOAT32] / fastest[candidate]
    took = candidate if gain >= GAIN else FLOAT32
    figures = ", ".join(f"{1e3 * seconds:.1f} ms in {name}" for name, seconds in fastest.items())
    return PrecisionChoice(took, f"{hardware}; a step takes {figures}")


def _candidate() -> tuple[str | None, str]:
    """The 16-bit floats to try, and the hardware that has them."""
    tf, _ = import_tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        name, capability = details.get("device_name", "a GPU"), tuple(details.get("compute_capability", (0, 0)))
        if capability >= (8, 0):
            return MIXED_BFLOAT16, str(name)
        return (MIXED_FLOAT16, str(name)) if capability >= (7, 0) else (None, f"{name} has no tensor cores")
    flags = _processor_flags()
    found = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    if found:
        return MIXED_BFLOAT16, f"a processor with {found[0]}"
    return None, "this processor has no instructions for 16-bit floats"


def _processor_flags() -> set[str]:
    """What Linux knows of the first processor; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return set()


def _leaves(model: Any) -> list[Any]:
    """Layers that hold no others."""
    found: list[Any] = []
    for layer in model.layers:
        found += _leaves(layer) if hasattr(layer, "layers") else [layer]
    return found
