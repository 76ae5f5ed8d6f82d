"""Whether the gradient reached every layer: vanishing and exploding gradients, named by a rule.

Back-propagation multiplies by one Jacobian a layer, so over many layers the gradient shrinks or grows like a power
(Hochreiter 1991; Bengio, Simard and Frasconi 1994; Glorot and Bengio 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.training.records import EpochRecord

VANISHING = 1e-2
"""Share of the last layer's gradient, a weight, that the first layer must get in the median epoch.

Networks that learn get 0.07 to 3; ten layers of sigmoids get 4e-7.
"""

EXPLODING = 100.0
"""Longest gradient of a layer, and largest ratio of the first layer's to the last's, a weight, in any epoch.

Networks that learn stay below 10: the error of a logit is 1 at most, and activations and weights are of order 1.
"""


@dataclass(frozen=True)
class GradientFlow:
    """Gradients of the layers with kernels, from the input to the output.

    Attributes:
        layers: their names.
        sizes: how many weights each has, int64 (layers,).
        epochs: int64 (epochs,), from 1.
        norms: length of each layer's gradient, root mean square over the epoch's steps, float64 (layers, epochs).
    """

    layers: tuple[str, ...]
    sizes: NDArray[np.int64]
    epochs: NDArray[np.int64]
    norms: NDArray[np.float64]

    @property
    def per_weight(self) -> NDArray[np.float64]:
        """Root mean square over a layer's weights, so that large and small layers compare: float64 (layers, epochs)."""
        return self.norms / np.sqrt(self.sizes)[:, None]

    @property
    def ratios(self) -> NDArray[np.float64]:
        """First layer's gradient a weight by the last layer's, float64 (epochs,); NaN where the last has none."""
        first, last = self.per_weight[0], self.per_weight[-1]
        return np.divide(first, last, out=np.full_like(first, np.nan), where=last > 0)

    @property
    def vanishing(self) -> bool:
        """Whether the first layer gets less than `VANISHING` of what the last gets, a weight, in the median epoch."""
        ratios = self.ratios[np.isfinite(self.ratios)]
        return len(ratios) > 0 and float(np.median(ratios)) < VANISHING

    @property
    def exploding(self) -> bool:
        """Whether in any epoch a gradient is longer than `EXPLODING`, or the first layer's so many times the last's."""
        ratios = self.ratios[np.isfinite(self.ratios)]
        return bool((self.norms > EXPLODING).any() or (ratios > EXPLODING).any() or not np.isfinite(self.norms).all())


def gradient_flow(model: Any, history: Sequence[EpochRecord]) -> GradientFlow | None:
    """What a training's records say of its gradients; None without an epoch, or with fewer than two layers of weights.

    Args:
        model: `keras.Model` that was trained.
        history: its records, the untrained network first.
    """
    sizes: dict[str, int] = {}
    with_kernel: list[str] = []
    for variable in model.trainable_variables:
        layer = variable.path.rpartition("/")[0]
        sizes[layer] = sizes.get(layer, 0) + int(np.prod(variable.shape))
        if len(variable.shape) > 1 and layer not in with_kernel:
            with_kernel.append(layer)
    records = [record for record in history if record.gradient_norms]
    layers = [layer for layer in with_kernel if records and layer in records[0].gradient_norms]
    if len(layers) < 2:
        return None
    norms = [[record.gradient_norms[layer] for record in records] for layer in layers]
    return GradientFlow(
        tuple(layers),
        np.array([sizes[layer] for layer in layers]),
        np.array([record.epoch for record in records]),
        np.array(norms, np.float64),
    )


def flow_in_words(flow: GradientFlow) -> str:
    """What the gradients were like, with the evidence and, where they were not well, what to try."""
    first, last = flow.layers[0], flow.layers[-1]
    told: list[str] = []
    if flow.exploding:
        told.append(
            f"The gradients exploded: {_explosion(flow)}. Smaller initial weights, batch normalization or a limit on "
            "the gradient's length (--clip-norm 1) help."
        )
    ratios = flow.ratios[np.isfinite(flow.ratios)]
    usual = f"a weight of {first} gets {np.median(ratios):.2g} times" if len(ratios) else ""
    if flow.vanishing:
        told.append(
            f"The gradients vanish: {usual} what one of {last} gets, so the first layers hardly learn. ReLU instead of "
            "sigmoid or tanh, batch normalization and residual connections help."
        )
    if not told and usual:
        told.append(
            f"The gradients reach every layer: {usual} what one of {last} gets (under {VANISHING:g} they would vanish) "
            f"and none is longer than {flow.norms.max():.2g} (over {EXPLODING:g} they would explode)."
        )
    return " ".join(told)


def _explosion(flow: GradientFlow) -> str:
    """The evidence: the longest gradient, or the largest ratio."""
    norms = np.where(np.isfinite(flow.norms), flow.norms, np.inf)
    layer, epoch = (int(i) for i in np.unravel_index(norms.argmax(), norms.shape))
    if norms[layer, epoch] > EXPLODING:
        size = f"{norms[layer, epoch]:,.3g} long" if np.isfinite(norms[layer, epoch]) else "not finite"
        return f"that of {flow.layers[layer]} was {size} in epoch {flow.epochs[epoch]}"
    epoch = int(np.nanargmax(flow.ratios))
    return (
        f"a weight of {flow.layers[0]} got {flow.ratios[epoch]:,.3g} times what one of {flow.layers[-1]} got in epoch "
        f"{flow.epochs[epoch]}"
    )
