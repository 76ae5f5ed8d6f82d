"""Why a layer costs accuracy, looked for in its weights and biases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.explanation.cause import SAME_SCALE, ModelFacts, is_harmful
from converters.explanation.layer_facts import INPUT_OP, LayerFacts, by_channel
from converters.explanation.weight_figures import changed_weights, cosine, median, weight_noise

ROUNDED_WELL_DB = 30.0
"""Signal to noise of a layer alone; 8 bits give 30 to 45 dB where the ranges fit."""

_RETRAINED = 0.98
"""Cosine of a layer's weights with the reference's, above which they may differ for a good reason."""


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
    return f"its weights use {len(distinct)} different codes, {min(bits, weights.bits)} bits; {weight_noise(layer)}"


def dead_channel(layer: LayerFacts, models: ModelFacts) -> str | None:
    """A channel gives one value whatever comes in, in the reference it does not."""
    dead = layer.dead_channels
    if not len(dead) or layer.op in SAME_SCALE or layer.op == INPUT_OP:
        return None
    changed = changed_weights(layer)
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
    off = changed_weights(layer)
    if error is None or layer.weights is None or off is None or not off.any():
        return None
    values = layer.weights + error
    steps = "" if weights is None else f", by up to {float((np.abs(error) / weights.steps()).max()):.0f} steps"
    agreement = cosine(values.astype(np.float32), layer.weights)
    if agreement > _RETRAINED and not is_harmful(layer):
        return None  # Training with quantization moves weights a little, and so does a converter that folds otherwise.
    return f"{off.sum()} of {off.size} weights differ by more than rounding{steps}; cosine {agreement:.3f}"


def narrow_weights(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The weights' scale is too small, so that large weights are cut off."""
    del models
    weights, error = None if layer.quantized is None else layer.quantized.weights, layer.weight_error
    if weights is None or error is None:
        return None
    cut = np.abs(error) > 2 * weights.steps()
    changed = changed_weights(layer)
    if not cut.any() or (changed is not None and changed.any()):
        return None
    return f"{cut.sum()} of {cut.size} weights lie beyond the last code; {weight_noise(layer)}"


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


def one_scale_for_all_channels(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The weights have one scale for all channels, which differ; a scale a channel would do."""
    widths = _per_tensor_widths(layer)
    if widths is None or outlier_weight_channel(layer, models) is not None:
        return None
    if widths.max() < 4 * np.median(widths) and median(layer.weight_sqnr_db) > ROUNDED_WELL_DB:
        return None
    spread = widths.max() / max(widths.min(), 1e-12)
    return f"the largest channel is {spread:.0f} times the smallest; {weight_noise(layer)}"


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
        return f"channel {worst} of {len(widths)} is {ratio:.0f} times the median channel; {weight_noise(layer)}"
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
    return f"channel {worst} has a weight {peaks[worst]:.0f} times its median; {weight_noise(layer)}"


def _per_tensor_widths(layer: LayerFacts) -> NDArray[np.float64] | None:
    """Widths of the channels where all share a scale, None elsewhere."""
    weights = None if layer.quantized is None else layer.quantized.weights
    if weights is None or weights.is_per_channel or layer.weight_widths is None or len(layer.weight_widths) < 3:
        return None
    return layer.weight_widths
