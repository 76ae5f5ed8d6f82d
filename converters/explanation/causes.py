"""Why a layer costs accuracy: one function a cause, told by the layer's own figures; the table has the surest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.explanation.cause import NOISE_FLOOR, Cause, Finding, ModelFacts
from converters.explanation.layer_facts import INPUT_OP, LayerFacts, by_channel
from converters.explanation.permutation import permutation_of, some_moves
from edge_cnn.core.preprocessing import normalization_table
from edge_cnn.device.opening import KNOWN_RANGES

HARMFUL_FLIPS = 0.04
HARMFUL_DIVERGENCE = 0.03
"""A layer that alone changes fewer answers and scores than this has no fault; healthy 8-bit layers stay below half."""

ROUNDED_WELL_DB = 30.0
"""Signal to noise of a layer alone; 8 bits give 30 to 45 dB where the ranges fit."""

_RETRAINED = 0.98
"""Cosine of a layer's weights with the reference's, above which they may differ for a good reason."""

_SAME_SCALE = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PAD", "TRANSPOSE"})
_FIXED_SCALE = frozenset({"SOFTMAX", "LOGISTIC", "TANH"})
"""Operators whose scale TFLite's specification fixes: their input's, or one for all models."""


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
    straight, reverse = _cosine(values, layer.weights), _cosine(values[..., ::-1], layer.weights)
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


def few_bits(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The weights have too few bits."""
    del models
    weights = None if layer.quantized is None else layer.quantized.weights
    if weights is None or weights.codes.size < 64:
        return None
    distinct = np.unique(weights.codes)
    gap = int(np.diff(distinct).min()) if len(distinct) > 1 else 1
    span = int(np.abs(weights.codes.astype(np.int64)).max())
    # Few codes, in the middle or far apart: rounding to fewer bits, then stored in more.
    if weights.bits > 4 and span > 8 and (gap < 8 or len(distinct) > 32):
        return None
    bits = int(np.ceil(np.log2(2 * span / gap + 1)))
    return f"its weights use {len(distinct)} different codes, {min(bits, weights.bits)} bits; {_weight_noise(layer)}"


def dead_channel(layer: LayerFacts, models: ModelFacts) -> str | None:
    """A channel gives one value whatever comes in, in the reference it does not."""
    dead = layer.dead_channels
    if not len(dead) or layer.op in _SAME_SCALE or layer.op == INPUT_OP:
        return None
    changed = _changed_weights(layer)
    if changed is not None and not changed.any() and wrong_bias(layer, models) is not None:
        return None
    if changed is not None and np.delete(by_channel(changed, layer.channel_axis), dead, axis=0).any():
        return None  # Weights that are all wrong deaden some channels as well.
    widths = layer.channel_widths
    shown = f"channel {dead[0]}, which spans {widths[dead[0]]:.3g} in the reference"
    return f"{len(dead)} of {layer.alone.channels} channels: {shown}" if len(dead) > 1 else shown


def mismatched_weights(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The weights are not the reference's: retrained, or corrupted."""
    del models
    weights, error = None if layer.quantized is None else layer.quantized.weights, layer.weight_error
    off = _changed_weights(layer)
    if error is None or layer.weights is None or off is None or not off.any():
        return None
    values = layer.weights + error
    steps = "" if weights is None else f", by up to {float((np.abs(error) / weights.steps()).max()):.0f} steps"
    cosine = _cosine(values.astype(np.float32), layer.weights)
    if cosine > _RETRAINED and not is_harmful(layer):
        return None  # Training with quantization moves weights a little, and so does a converter that folds otherwise.
    return f"{off.sum()} of {off.size} weights differ by more than rounding{steps}; cosine {cosine:.3f}"


def narrow_weights(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The weights' scale is too small, so that large weights are cut off."""
    del models
    weights, error = None if layer.quantized is None else layer.quantized.weights, layer.weight_error
    if weights is None or error is None:
        return None
    cut = np.abs(error) > 2 * weights.steps()
    changed = _changed_weights(layer)
    if not cut.any() or (changed is not None and changed.any()):
        return None
    return f"{cut.sum()} of {cut.size} weights lie beyond the last code; {_weight_noise(layer)}"


def wrong_bias(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The bias is not the reference's: overflown, of a wrong scale, or changed."""
    del models
    bias = None if layer.quantized is None else layer.quantized.bias
    if bias is None or layer.bias is None or layer.quantized is None:
        return None
    error = np.abs(bias.values - layer.bias)
    step = 0.0 if bias.codes is None else float(np.max(np.abs(bias.values) / np.maximum(np.abs(bias.codes), 1)))
    room = 4 * layer.codes.scale if layer.codes is not None else 1e-3 * float(np.abs(layer.bias).max() + 1e-12)
    # Bias correction moves a bias by some steps of the output, and by less than what a channel gives.
    moved = error > np.maximum(max(4 * step, room), 0.08 * layer.channel_widths)
    if not moved.any():
        return None
    worst = int(np.argmax(np.where(moved, error, 0)))
    shown = f"channel {worst} has {bias.values[worst]:.4g}, the reference {layer.bias[worst]:.4g}"
    if bias.codes is not None and int(np.abs(bias.codes[worst])) >= bias.limit:
        return f"{shown}: its code {bias.codes[worst]} is the last one, so the bias overflowed"
    ratios = bias.values[moved] / np.where(layer.bias[moved] == 0, np.nan, layer.bias[moved])
    if len(ratios) > 2 and np.nanstd(ratios) < 0.02 * abs(np.nanmean(ratios)):
        return f"{shown}: all are {np.nanmean(ratios):.3g} times the reference's, so the scale is wrong"
    return f"{shown}; {int(moved.sum())} of {len(error)} channels are off"


def saturation(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The range is too narrow for the data: values beyond it are cut off."""
    del models
    if layer.codes is None or layer.alone.clipped_share < 0.5 or layer.saturation <= 0 or layer.op in _FIXED_SCALE:
        return None
    low, high = float(layer.alone.low.min()), float(layer.alone.high.max())
    return (
        f"codes for {layer.codes.low:.4g}..{layer.codes.high:.4g}, the data give {low:.4g}..{high:.4g}: "
        f"{layer.saturation:.2%} of the values are cut off"
    )


def one_scale_for_all_channels(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The weights have one scale for all channels, which differ; a scale a channel would do."""
    widths = _per_tensor_widths(layer)
    if widths is None or outlier_weight_channel(layer, models) is not None:
        return None
    if widths.max() < 4 * np.median(widths) and _median(layer.weight_sqnr_db) > ROUNDED_WELL_DB:
        return None
    spread = widths.max() / max(widths.min(), 1e-12)
    return f"the largest channel is {spread:.0f} times the smallest; {_weight_noise(layer)}"


def outlier_weight_channel(layer: LayerFacts, models: ModelFacts) -> str | None:
    """A few weights are far larger than the rest that share their scale, and leave them few codes."""
    del models
    widths = _per_tensor_widths(layer)
    if widths is not None:
        large = widths > 6 * np.median(widths)
        if not large.any() or large.sum() > len(widths) / 4:
            return None
        worst = int(widths.argmax())
        ratio = widths[worst] / np.median(widths)
        return f"channel {worst} of {len(widths)} is {ratio:.0f} times the median channel; {_weight_noise(layer)}"
    noise = layer.weight_sqnr_db
    if noise is None or layer.weights is None or layer.quantized is None or layer.quantized.weights is None:
        return None
    rows = np.abs(by_channel(layer.weights.astype(np.float64), layer.channel_axis))
    if rows.shape[1] < 8:
        return None
    peaks = rows.max(axis=1) / np.maximum(np.median(rows, axis=1), 1e-12)
    poor = np.flatnonzero((noise < 20) & (peaks > 60))
    if not len(poor):
        return None
    worst = int(poor[np.argmax(peaks[poor])])
    return f"channel {worst} has a weight {peaks[worst]:.0f} times its median; {_weight_noise(layer)}"


def outlier_activation_channel(layer: LayerFacts, models: ModelFacts) -> str | None:
    """A few channels of the output are far larger than the rest, and leave them few of the codes."""
    del models
    if layer.codes is None or layer.op == INPUT_OP or layer.alone.channels < 3:
        return None
    widths = layer.channel_widths
    middle = float(np.median(widths[widths > 0])) if (widths > 0).any() else 0.0
    if middle <= 0 or layer.op in _FIXED_SCALE:
        return None
    large = np.flatnonzero(widths > 5 * middle)
    if not len(large) or len(large) > len(widths) / 4:
        return None
    worst = int(widths.argmax())
    codes = middle / layer.codes.scale
    return (
        f"channel {worst} of {len(widths)} is {widths[worst] / middle:.0f} times the median channel, "
        f"which has {codes:.1f} of {layer.codes.count} codes"
    )


def range_too_wide(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The range is far wider than the data, so that most codes stand for nothing."""
    del models
    if layer.range_use is None or layer.codes is None or layer.op in _SAME_SCALE | _FIXED_SCALE:
        return None
    if layer.range_use > 0.4:
        return None
    low, high = float(layer.alone.low.min()), float(layer.alone.high.max())
    return (
        f"codes for {layer.codes.low:.4g}..{layer.codes.high:.4g}, the data give {low:.4g}..{high:.4g}: "
        f"{layer.range_use:.0%} of the codes are used"
    )


def tied_scores(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The scores are coded so coarsely or cut off so low that the best two are the same."""
    if not layer.is_last and layer.op not in _FIXED_SCALE:
        return None
    ours, theirs = (np.sort(s, axis=1)[:, -2:] for s in (models.float_scores, models.quantized_scores))
    tied = (theirs[:, 0] == theirs[:, 1]) & (ours[:, 0] != ours[:, 1])
    if tied.mean() < 0.05:
        return None
    return f"in {tied.sum()} of {len(tied)} samples the best two scores are equal"


def coarse_codes(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The layer's own rounding is coarse for what the layers behind it need."""
    del models
    return f"{layer.alone.sqnr_db:.1f} dB alone"


CAUSES: tuple[Cause, ...] = (
    Cause("wrong preprocessing", wrong_preprocessing, needs_harm=False, explains_others=True),
    Cause("channel order (BGR for RGB)", channel_order, needs_harm=False),
    Cause("class order", class_order, needs_harm=False),
    Cause("too few bits", few_bits, needs_harm=False),
    Cause("dead channel", dead_channel, needs_harm=False),
    Cause("mismatched weights", mismatched_weights, needs_harm=False),
    Cause("wrong bias", wrong_bias, needs_harm=False),
    Cause("clipped weights", narrow_weights, needs_harm=False),
    Cause("saturated range", saturation),
    Cause("outlier channel in weights", outlier_weight_channel),
    Cause("per-tensor weights", one_scale_for_all_channels),
    Cause("outlier channel in activations", outlier_activation_channel),
    Cause("range too wide", range_too_wide),
    Cause("tied scores", tied_scores),
    Cause("coarse codes", coarse_codes),
)
"""The first cause that holds is the layer's; the surest ones stand first."""


def is_harmful(layer: LayerFacts) -> bool:
    """Whether the layer alone changes more answers or scores than healthy 8 bits do."""
    return layer.damage.flips >= HARMFUL_FLIPS or layer.damage.divergence >= HARMFUL_DIVERGENCE


def findings(layer: LayerFacts, models: ModelFacts) -> list[Finding]:
    """All causes that hold for the layer, in the order of the table; empty at the noise floor."""
    found: list[Finding] = []
    for cause in CAUSES:
        if cause.needs_harm and not is_harmful(layer):
            continue
        if cause.find is coarse_codes and found:
            continue
        evidence = cause.find(layer, models)
        if evidence is not None:
            found.append(Finding(cause.name, cause.sentence, evidence, cause.explains_others))
    return found


def cause_name(found: list[Finding]) -> str:
    """The layer's cause in a few words."""
    return found[0].name if found else NOISE_FLOOR


def _changed_weights(layer: LayerFacts) -> NDArray[np.bool_] | None:
    """Weights that differ by more than rounding, and not because the largest code is too small for them."""
    error, quantized = layer.weight_error, layer.quantized
    if error is None or layer.weights is None or quantized is None:
        return None
    if quantized.weights is None:
        return np.abs(error) > 0.01 * np.abs(layer.weights).max()
    codes = quantized.weights.codes.astype(np.int64)
    at_an_end = np.abs(codes) >= (7 if quantized.weights.bits == 4 else 127)
    cut = at_an_end & (np.sign(codes) == np.sign(layer.weights)) & (np.sign(error) == -np.sign(layer.weights))
    return (np.abs(error) > 1.5 * quantized.weights.steps()) & ~cut


def _per_tensor_widths(layer: LayerFacts) -> NDArray[np.float64] | None:
    """Widths of the channels where all share a scale, None elsewhere."""
    weights = None if layer.quantized is None else layer.quantized.weights
    if weights is None or weights.is_per_channel or layer.weight_widths is None or len(layer.weight_widths) < 3:
        return None
    return layer.weight_widths


def _weight_noise(layer: LayerFacts) -> str:
    return f"the median channel's weights keep {_median(layer.weight_sqnr_db):.0f} dB"


def _median(values: NDArray[np.float64] | None) -> float:
    return float(np.median(values)) if values is not None and len(values) else float("inf")


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 0 else 0.0
