"""Why a layer costs accuracy, looked for in the range of its output."""

from __future__ import annotations

import numpy as np

from converters.explanation.cause import FIXED_SCALE, SAME_SCALE, ModelFacts
from converters.explanation.layer_facts import INPUT_OP, LayerFacts


def saturation(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The range is too narrow for the data: values beyond it are cut off."""
    del models
    if layer.codes is None or layer.alone.clipped_share < 0.5 or layer.saturation <= 0 or layer.op in FIXED_SCALE:
        return None
    low, high = float(layer.alone.low.min()), float(layer.alone.high.max())
    return (
        f"codes for {layer.codes.low:.4g}..{layer.codes.high:.4g}, the data give {low:.4g}..{high:.4g}: "
        f"{layer.saturation:.2%} of the values are cut off"
    )


def outlier_activation_channel(layer: LayerFacts, models: ModelFacts) -> str | None:
    """A few channels of the output are far larger than the rest, and leave them few of the codes."""
    del models
    if layer.codes is None or layer.op == INPUT_OP or layer.alone.channels < 3:
        return None
    widths = layer.channel_widths
    middle = float(np.median(widths[widths > 0])) if (widths > 0).any() else 0.0
    if middle <= 0 or layer.op in FIXED_SCALE:
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
    if layer.range_use is None or layer.codes is None or layer.op in SAME_SCALE | FIXED_SCALE:
        return None
    if layer.range_use > 0.4:
        return None
    low, high = float(layer.alone.low.min()), float(layer.alone.high.max())
    return (
        f"codes for {layer.codes.low:.4g}..{layer.codes.high:.4g}, the data give {low:.4g}..{high:.4g}: "
        f"{layer.range_use:.0%} of the codes are used"
    )


def coarse_codes(layer: LayerFacts, models: ModelFacts) -> str | None:
    """The layer's own rounding is coarse for what the layers behind it need."""
    del models
    return f"{layer.alone.sqnr_db:.1f} dB alone"
