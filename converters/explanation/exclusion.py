"""`export --exclude`: layers that stay in float32 in an otherwise quantized file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from converters.calibration.samples import Calibration
from converters.explanation.max_drop import MIXED
from converters.float_graph.float_graph import FloatGraph
from converters.schemes.plan import PlannedArtifact
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import TFLITE
from edge_cnn.core.errors import InputError

_INT8 = "int8"
_FLOAT = "float32"


def leaving_in_float(planned: Sequence[PlannedArtifact], names: tuple[str, ...]) -> tuple[PlannedArtifact, ...]:
    """The plans with `names` left in float in each int8 `.tflite`; float files are as they were.

    Raises:
        InputError: a target of such a file takes no float layers, or no file is int8 `.tflite`.
    """
    if not names:
        return tuple(planned)
    chosen = [plan for plan in planned if (plan.recipe.format, plan.recipe.scheme) == (TFLITE, _INT8)]
    if not chosen:
        raise InputError("layers stay in float in .tflite files of scheme int8 alone, and none is made; drop --exclude")
    for plan in chosen:
        for target in plan.targets:
            if _FLOAT not in target.schemes:
                raise InputError(f"target {target.name!r} takes no float layers; drop --exclude or the target")
    return tuple(_leaving(plan, names) if plan in chosen else plan for plan in planned)


def operator_names(graph: FloatGraph, names: Collection[str]) -> tuple[str, ...]:
    """Whole names of operators that are given whole, or by the first of the parts that converters join with ';'.

    Raises:
        InputError: no operator of such a name, or several.
    """
    found: list[str] = []
    for name in names:
        same = [o.name for o in graph.operators if name in (o.name, o.name.split(";")[0])]
        if len(same) != 1:
            count = f"{len(same)} operators are" if same else "there is no operator"
            raise InputError(f"{count} called {name!r}; 'edge-cnn explain --json' lists the whole names")
        found += same
    return tuple(found)


def _leaving(plan: PlannedArtifact, names: tuple[str, ...]) -> PlannedArtifact:
    def convert(source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
        return plan.recipe.convert(source, calibration, (*operator_names(source.float_graph, names), *in_float))

    return replace(plan, recipe=replace(plan.recipe, scheme=MIXED, convert=convert))
