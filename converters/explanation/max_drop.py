"""`export --max-drop`: when plain int8 loses too much, the smallest and fastest mix that does not."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from converters.calibration.samples import MIN_SAMPLES, Calibration
from converters.explanation.accuracy import artifact_accuracy, graph_accuracy
from converters.explanation.correspondence import correspond
from converters.explanation.explain import held_out_of
from converters.explanation.measuring import measure
from converters.explanation.mix import Convert, Mix, MixMaker
from converters.explanation.mix_search import Groups, MixSearch, Try
from converters.explanation.quantized_tflite import QuantizedTflite
from converters.explanation.reading import float_groups
from converters.float_graph.float_graph import FloatGraph
from converters.improvement.improver import with_graph
from converters.schemes.plan import PlannedArtifact
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.inputs import model_inputs
from edge_cnn.verify.tolerance_check import SHARE_SLACK

MIXED = "int8-mixed"
"""The scheme of a file in which some layers stayed in float: its ends are float32 as well."""

_FLOAT = "float32"
_CALIBRATED = frozenset(
    {"int8", "int8-per-tensor", "int8-uint8io", "int8-floatio", "int8-symmetric", "int8-qdq-int8", "qoperator-int8"}
)
"""Schemes whose ranges and weights other ways to quantize may set."""

_LAYER_SAMPLES = 200


@dataclass(frozen=True)
class Kept:
    """A mix within the bound.

    Attributes:
        data: the file, without metadata.
        scheme: the plan's, or `MIXED` where layers stayed in float.
        chosen: how it was made, with its figures on held-out samples.
    """

    data: bytes
    scheme: str
    chosen: Try


@dataclass(frozen=True)
class DropSearch:
    """What was tried for one artifact.

    Attributes:
        kept: None where nothing keeps the bound.
        tries: in order.
        held_out: how many training samples chose among them.
        tested: how many of them were good enough there to be measured on the test part as well.
        best_drop: the least drop on the test part, of those and of plain int8.
        float_allowed: whether layers were allowed to stay in float.
    """

    kept: Kept | None
    tries: tuple[Try, ...]
    held_out: int
    tested: int
    best_drop: float
    float_allowed: bool

    def to_json(self) -> dict[str, Any]:
        """For a manifest; no times, which would make equal exports differ."""
        return {
            "held_out": {"samples": self.held_out, "part": "train"},
            "float_layers_allowed": self.float_allowed,
            "tries": [tried.to_json() for tried in self.tries],
            "chosen": None if self.kept is None else self.kept.chosen.to_json(),
        }

    def told(self) -> str:
        """How near a search that found nothing came, and on which samples: the end of a sentence, or nothing."""
        if not self.tries:
            return ""
        where = "" if self.float_allowed else ", all without float layers, which the target does not take,"
        least = min(tried.drop for tried in self.tries)
        measured = f"; on the test part the {self.tested} best of them drop {self.best_drop:.2%} or more"
        return (
            f"; the best of {len(self.tries)} ways{where} drops {least:.2%} on {self.held_out} training samples "
            f"that did not calibrate{measured if self.tested else ''}"
        )


def takes_mixes(plan: PlannedArtifact) -> bool:
    """Whether there are other ways to make this file than the plain one."""
    return plan.recipe.scheme in _CALIBRATED


def _converter(plan: PlannedArtifact, source: SourceModel) -> Convert:
    """The plan's own recipe, on other graphs."""

    def convert(graph: FloatGraph, calibration: Calibration, in_float: Collection[str]) -> bytes:
        return plan.recipe.convert(with_graph(source, graph), calibration, in_float)

    return convert


def _apart(
    train: LabelledImages, preprocessing: Preprocessing, calibration: Calibration, seed: int
) -> tuple[Calibration, LabelledImages]:
    """Samples to calibrate with, and others of the training part to choose with.

    Where all of a small training part calibrates plain int8, half of it calibrates the other ways.
    """
    left = held_out_of(train, preprocessing, calibration, seed)
    if len(left) >= MIN_SAMPLES or calibration.labels is None:
        return calibration, left
    half = len(calibration) // 2
    left = LabelledImages(calibration.inputs[half:], calibration.labels[half:], train.class_names)
    return replace(calibration, inputs=calibration.inputs[:half], labels=calibration.labels[:half]), left


def keep_within(
    plan: PlannedArtifact,
    source: SourceModel,
    calibration: Calibration,
    train: LabelledImages,
    *,
    preprocessing: Preprocessing,
    bound: float,
    plain_drop: float,
    seed: int,
    drop_on_test: Callable[[Kept], float],
    on_try: Callable[[str], None] | None = None,
) -> DropSearch:
    """Search, choosing with training samples that did not calibrate; the test part has the last word.

    Args:
        plan: an artifact that `takes_mixes`.
        source: the float model.
        calibration: what plain int8 was calibrated with.
        train: the training part.
        preprocessing: of the model.
        bound: largest drop.
        plain_drop: of plain int8 on the test part, beyond the bound.
        seed: of the choice of held-out samples.
        drop_on_test: makes a whole artifact of a mix, checks the target's rules and measures.
        on_try: told what is made next.

    Raises:
        ModelError: the quantizer refuses.
    """
    calibration, held_out = _apart(train, preprocessing, calibration, seed)
    if len(held_out) < MIN_SAMPLES or len(calibration) < MIN_SAMPLES:
        return DropSearch(None, (), 0, 0, plain_drop, False)
    inputs, graph = model_inputs(held_out.images, preprocessing), source.float_graph
    search = MixSearch(
        MixMaker(graph, calibration, _converter(plan, source)),
        lambda data: artifact_accuracy(Artifact(plan.name, plan.recipe.format, data), held_out, preprocessing),
        graph_accuracy(graph, inputs, held_out.labels),
        on_try,
    )
    # A device that takes no float file has no kernels for float layers.
    float_allowed = plan.recipe.format == TFLITE and all(_FLOAT in target.schemes for target in plan.targets)
    plain = Mix(calibration.method)
    search.reject(plain)
    best_drop, tested = plain_drop, 0

    def damaging() -> Groups:
        model = QuantizedTflite(search.data(plain))
        few = slice(0, _LAYER_SAMPLES)
        measured = measure(graph, model, correspond(graph, model), inputs[few], held_out.labels[few])
        worst = sorted(measured.layers, key=lambda layer: -layer.damage.divergence)
        return float_groups(graph, [(layer.name, layer.op) for layer in worst])

    # What chose by held-out samples may still miss on the test part: then a smaller drop is asked for.
    for asked in (bound, min(bound, bound / 2), min(bound, 0.0)):
        found = search.run(asked, damaging if float_allowed else None, plain)
        if found.chosen.mix == plain:
            continue
        kept = Kept(
            search.data(found.chosen.mix), MIXED if found.chosen.mix.exclude else plan.recipe.scheme, found.chosen
        )
        drop = drop_on_test(kept)
        best_drop, tested = min(best_drop, drop), tested + 1
        if drop <= bound + SHARE_SLACK:
            return DropSearch(kept, search.tries, len(held_out), tested, best_drop, float_allowed)
        search.reject(found.chosen.mix)
    return DropSearch(None, search.tries, len(held_out), tested, best_drop, float_allowed)
