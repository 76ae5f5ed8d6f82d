"""Why a layer costs accuracy: one function a cause, told by the layer's own figures; the table has the surest first."""

from __future__ import annotations

from converters.explanation.cause import Cause, Finding, ModelFacts, is_harmful
from converters.explanation.causes_in_ranges import coarse_codes, outlier_activation_channel, range_too_wide, saturation
from converters.explanation.causes_in_weights import (
    dead_channel,
    few_bits,
    mismatched_weights,
    narrow_weights,
    one_scale_for_all_channels,
    outlier_weight_channel,
    wrong_bias,
)
from converters.explanation.causes_of_ends import channel_order, class_order, tied_scores, wrong_preprocessing
from converters.explanation.layer_facts import LayerFacts

CAUSES: tuple[Cause, ...] = (
    Cause("wrong preprocessing", wrong_preprocessing, needs_harm=False, explains_others=True, mended_anew=True),
    Cause("channel order (BGR for RGB)", channel_order, needs_harm=False),
    Cause("class order", class_order, needs_harm=False),
    Cause("too few bits", few_bits, needs_harm=False),
    Cause("dead channel", dead_channel, needs_harm=False),
    Cause("mismatched weights", mismatched_weights, needs_harm=False),
    Cause("wrong bias", wrong_bias, needs_harm=False),
    Cause("clipped weights", narrow_weights, needs_harm=False),
    Cause("saturated range", saturation, mended_anew=True),
    Cause("outlier channel in weights", outlier_weight_channel),
    Cause("per-tensor weights", one_scale_for_all_channels),
    Cause("outlier channel in activations", outlier_activation_channel),
    Cause("range too wide", range_too_wide, mended_anew=True),
    Cause("tied scores", tied_scores),
    Cause("coarse codes", coarse_codes),
)
"""The first cause that holds is the layer's; the surest ones stand first."""


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
            found.append(Finding(cause.name, cause.sentence, evidence, cause.explains_others, cause.mended_anew))
    return found
