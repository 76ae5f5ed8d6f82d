"""Why a layer costs accuracy, looked for at the ends of the model: its inputs, its classes, its scores."""

from __future__ import annotations

import numpy as np

from converters.explanation.cause import FIXED_SCALE, ModelFacts
from converters.explanation.layer_facts import INPUT_OP, LayerFacts, by_channel
from converters.explanation.permutation import permutation_of, some_moves
from converters.explanation.weight_figures import cosine
from edge_cnn.core.preprocessing import normalization_table
from edge_cnn.device.opening import KNOWN_RANGES


def wrong_preprocessing(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The file was made for inputs of another scale than the reference takes."""
    if layer.op != INPUT_OP:
        return None
    ours, stated = models.preprocessing, models.stated
    if ours is not None and stated is not None:
        wanted, got = normalization_table(ours), normalization_table(stated)
        span = float(wanted.max() - wanted.min())
        if float(np.abs(wanted - got).max()) > 0.02 * span:
            return f"it states {stated.describe()}, the reference takes {ours.describe()}"
    if layer.codes is None:
        return None
    low, high = layer.codes.low, layer.codes.high
    used_low, used_high = float(layer.alone.low.min()), float(layer.alone.high.max())
    if ours is not None:
        table = normalization_table(ours)
        used_low, used_high = min(used_low, float(table.min())), max(used_high, float(table.max()))
    ratio = (high - low) / max(used_high - used_low, 1e-12)
    # Symmetric codes have a low end whether the data do or not.
    if layer.codes.zero_point == 0 and layer.codes.first < 0 <= used_low:
        low = 0.0
        ratio *= 0.5
    known = next((r for r in KNOWN_RANGES if abs(low - r[0]) + abs(high - r[1]) < 0.06 * (r[1] - r[0])), None)
    mismatch = abs(low - used_low) + abs(high - used_high) > 0.25 * max(high - low, used_high - used_low)
    # Dark or wild samples make narrow and wide ranges too, of other sizes.
    if (known and mismatch) or ratio < 1 / 50:
        what = f"inputs {low:.4g}..{high:.4g}" + (f", as of the range {known[0]:g}..{known[1]:g}" if known else "")
        return f"it has codes for {what}; the reference takes {used_low:.4g}..{used_high:.4g}"
    return None


def channel_order(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The first layer reads the colours in the reverse order, BGR for RGB."""
    del models
    values = None if layer.quantized is None else layer.quantized.weight_values
    if not layer.is_first or layer.weights is None or values is None or layer.weights.shape[-1] != 3:
        return None
    if layer.op != "CONV_2D":
        return None
    straight, reverse = cosine(values, layer.weights), cosine(values[..., ::-1], layer.weights)
    if reverse < 0.98 or reverse - straight < 0.005 or straight > 0.995:
        return None
    return f"its weights agree with the reference's by {reverse:.3f} (cosine) when reversed, by {straight:.3f} as it is"


def class_order(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The classes stand in another order than in the reference."""
    if not layer.is_last:
        return None
    ours, theirs = models.labels, models.stated_labels
    if ours and theirs and ours != theirs and sorted(ours) == sorted(theirs):
        return f"its labels are {', '.join(theirs[:4])}, ..., the reference's {', '.join(ours[:4])}, ..."
    values = None if layer.quantized is None else layer.quantized.weight_values
    if values is None or layer.weights is None:
        return None
    got = by_channel(values.astype(np.float64), layer.channel_axis)
    order = permutation_of(by_channel(layer.weights.astype(np.float64), layer.channel_axis), got)
    return None if order is None else f"its outputs are the reference's in another order: {some_moves(order)}"


def tied_scores(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The scores are coded so coarsely or cut off so low that the best two are the same."""
    if not layer.is_last and layer.op not in FIXED_SCALE:
        return None
    ours, theirs = (np.sort(s, axis=1)[:, -2:] for s in (models.float_scores, models.quantized_scores))
    tied = (theirs[:, 0] == theirs[:, 1]) & (ours[:, 0] != ours[:, 1])
    if tied.mean() < 0.05:
        return None
    return f"in {tied.sum()} of {len(tied)} samples the best two scores are equal"
