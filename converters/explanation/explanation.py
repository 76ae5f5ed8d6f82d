"""What an explanation says: the layers, worst first, and the fix with its measured effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from converters.explanation.accuracy import at_chance
from converters.explanation.cause import NOISE_FLOOR, Finding
from converters.explanation.layer_facts import LayerFacts
from converters.explanation.mix_search import Try

_TOLD = 5


@dataclass(frozen=True)
class ExplainedLayer:
    """A layer with what is wrong with it.

    Attributes:
        facts: its figures.
        findings: its causes, the surest first; empty at the noise floor.
    """

    facts: LayerFacts
    findings: tuple[Finding, ...]

    @property
    def cause(self) -> str:
        """In a few words."""
        return self.findings[0].name if self.findings else NOISE_FLOOR

    @property
    def explains_others(self) -> bool:
        """Whether what other layers lose follows from a cause of this one."""
        return any(finding.explains_others for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        facts = self.facts
        return {
            "name": facts.name,
            "op": facts.op,
            "sqnr_db": _number(facts.sqnr_db),
            "isolated_drop": round(facts.damage.drop, 6),
            "cause": self.cause,
            "evidence": self.findings[0].evidence if self.findings else "",
            "other_causes": [finding.name for finding in self.findings[1:]],
            "isolated_sqnr_db": _number(facts.alone.sqnr_db),
            "isolated_flips": round(facts.damage.flips, 6),
            "isolated_divergence": _number(facts.damage.divergence),
            "range_use": _number(facts.range_use),
            "saturation": _number(facts.saturation),
            "weight_spread": _number(facts.weight_spread),
            "activation_spread": _number(facts.activation_spread),
            "constant_channels": facts.constant_channels,
            "largest_mean_error": _number(float(abs(facts.whole.mean_error).max())),
        }


Way = tuple[Try, float]
"""A way to quantize the reference anew, and its drop on the test part."""


@dataclass(frozen=True)
class Fix:
    """What to do, with its effect on the test part.

    Attributes:
        drop_before: share of the test part that the quantized file loses against the reference.
        drop_after: the same of the reference quantized anew in the proposed way.
        chosen: the proposed way as it was measured on held-out samples; None where there is nothing to fix.
        free: the best way without layers in float, where plain int8 made anew does not do.
        floats: plain int8 with layers in float, where plain int8 made anew does not do.
        words: what to do, in sentences.
        tries: everything that was made and measured on the way.
    """

    drop_before: float
    drop_after: float
    chosen: Try | None
    free: Way | None
    floats: Way | None
    words: tuple[str, ...]
    tries: tuple[Try, ...]

    @property
    def exclude(self) -> tuple[str, ...]:
        """Names of layers to leave in float32 if the reference is quantized in no other way; empty where int8 does."""
        return self.floats[0].mix.exclude if self.floats is not None else ()

    def to_json(self) -> dict[str, Any]:
        return {
            "exclude": list(self.exclude),
            "drop_before": round(self.drop_before, 6),
            "drop_after": round(self.drop_after, 6),
            "how": None if self.chosen is None else self.chosen.to_json(),
            "without_float_layers": _way_json(self.free),
            "with_float_layers": _way_json(self.floats),
            "words": list(self.words),
            "tries": [tried.to_json() for tried in self.tries],
        }


@dataclass(frozen=True)
class Explanation:
    """The answer to "where did the accuracy go".

    Attributes:
        layers: worst first: those with a cause before those at the noise floor, then by what they cost alone.
        by_name: whether layers have the same names in both files.
        samples: how many the layers were measured on.
        test_samples: how many the accuracies were measured on.
        float_accuracy, quantized_accuracy: shares of the test part.
        agreement: share of samples to which both models give the same answer.
        fix: None where it was not asked for.
        equalized: whether the file's channels are scaled against each other, and the reference was scaled likewise.
        classes: how many there are.
    """

    layers: tuple[ExplainedLayer, ...]
    by_name: bool
    samples: int
    test_samples: int
    float_accuracy: float
    quantized_accuracy: float
    agreement: float
    fix: Fix | None
    equalized: bool = False
    classes: int = 2

    @property
    def at_chance(self) -> bool:
        """Whether the reference is hardly better than guessing on the data, so that drops say nothing."""
        return at_chance(self.float_accuracy, self.classes)

    @property
    def faulty(self) -> tuple[ExplainedLayer, ...]:
        """Layers with a cause."""
        return tuple(layer for layer in self.layers if layer.findings)

    @property
    def told(self) -> tuple[ExplainedLayer, ...]:
        """The layers whose causes a person needs to read: the one that explains the others, else the worst few."""
        return to_tell(self.faulty)

    def to_json(self) -> dict[str, Any]:
        return {
            "layers": [layer.to_json() for layer in self.layers],
            "fix": None if self.fix is None else self.fix.to_json(),
            "float_accuracy": round(self.float_accuracy, 6),
            "quantized_accuracy": round(self.quantized_accuracy, 6),
            "agreement": round(self.agreement, 6),
            "samples": self.samples,
            "test_samples": self.test_samples,
            "layers_by_name": self.by_name,
            "equalized": self.equalized,
        }


def _way_json(way: Way | None) -> dict[str, Any] | None:
    return None if way is None else way[0].to_json() | {"drop_after": round(way[1], 6)}


def to_tell(faulty: Sequence[ExplainedLayer]) -> tuple[ExplainedLayer, ...]:
    """Of layers with a cause, worst first: the one that explains the others, else the worst few."""
    if faulty and faulty[0].explains_others:
        return (faulty[0],)
    return tuple(faulty[:_TOLD])


def worst_first(layers: list[ExplainedLayer]) -> tuple[ExplainedLayer, ...]:
    """What explains the others, then layers with a cause by damage, then the others by damage."""

    def key(layer: ExplainedLayer) -> tuple[bool, bool, float]:
        return not layer.explains_others, not layer.findings, -layer.facts.damage.divergence

    return tuple(sorted(layers, key=key))


def _number(value: float | None) -> float | None:
    """For JSON, which knows no infinity."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
