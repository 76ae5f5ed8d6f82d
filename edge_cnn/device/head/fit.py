"""Whether a new head can take the place of a file's own."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.softmax_head import SoftmaxHead


def check_fit(name: str, classes: int, features: int, head: SoftmaxHead, logits_range: tuple[float, float]) -> None:
    """Refuse a head that does not fit.

    Args:
        name: of the file.
        classes, features: of its last layer.
        head: the new one.
        logits_range: smallest and largest logit to provide for.

    Raises:
        ModelError: another shape, NaN or infinity, or no range.
    """
    got = tuple(head.weights.shape)
    if got != (classes, features) or head.bias.shape != (classes,):
        raise ModelError(
            f"the last layer of {name} has {classes} classes x {features} features, the new head has weights {got} and "
            f"bias {tuple(head.bias.shape)}; train a head on this file's own embeddings"
        )
    if not (np.isfinite(head.weights).all() and np.isfinite(head.bias).all()):
        raise ModelError("the new head holds NaN or infinity; train it again with a smaller learning rate")
    low, high = logits_range
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ModelError(f"the range of the logits is {low}..{high}; give two finite numbers, the smaller one first")
