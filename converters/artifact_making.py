"""One file of an export: converted, held to its targets' rules, measured, made otherwise where it loses too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_cnn
from converters.calibration.samples import Calibration
from converters.constraints.table import violations
from converters.explanation.max_drop import DropSearch, Kept, keep_within, takes_mixes
from converters.export_config import ExportConfig
from converters.improvement.advice import what_helps
from converters.metadata.onnx_metadata import add_onnx_metadata
from converters.metadata.tflite_metadata import add_tflite_metadata
from converters.preflight import check_preflight
from converters.schemes.plan import PlannedArtifact
from converters.schemes.tolerances import tolerances_of
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import ONNX, Artifact
from edge_cnn.core.errors import AccuracyDropError, ConstraintError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.manifest import ArtifactEntry
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.verify.tolerance_check import SHARE_SLACK

_BATCH = 256


@dataclass(frozen=True)
class ArtifactMaker:
    """What all files of an export share.

    Attributes:
        config: what to export.
        labels: class names.
        preprocessing: from pixels to model inputs.
        train, test: in the model's order of classes.
        float_accuracy: share of the test part that the float model gets right.
    """

    config: ExportConfig
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    train: LabelledImages
    test: LabelledImages
    float_accuracy: float

    def make(self, plan: PlannedArtifact, source: SourceModel, calibration: Calibration) -> Artifact:
        """The file, with metadata.

        Raises:
            ModelError: a converter refuses the model.
            ConstraintError: the file breaks a rule of its targets, or no runtime there takes it.
        """
        artifact = self._convert(plan, source, calibration)
        broken: dict[str, list[str]] = {}
        for target in plan.targets:
            for line in violations(artifact, target, plan.recipe.scheme):
                broken.setdefault(line, []).append(target.name)
        if broken:
            told = "; ".join(f"{', '.join(names)}: {line}" for line, names in broken.items())
            raise ConstraintError(f"{told}; choose another target or scheme")
        check_preflight(artifact, plan.targets, self.config.releases)
        return artifact

    def _convert(self, plan: PlannedArtifact, source: SourceModel, calibration: Calibration) -> Artifact:
        converted = plan.recipe.convert(source, calibration)
        producer = f"edge_cnn {edge_cnn.__version__}"
        if plan.recipe.format == ONNX:
            content = add_onnx_metadata(
                converted, labels=self.labels, preprocessing=self.preprocessing, producer=producer
            )
        else:
            content = add_tflite_metadata(
                converted, name=source.name, labels=self.labels, preprocessing=self.preprocessing, producer=producer
            )
        return Artifact(plan.name, plan.recipe.format, content)

    def entry(self, plan: PlannedArtifact, artifact: Artifact) -> ArtifactEntry:
        """What the manifest says of a file, its accuracy on the test part measured."""
        runtime = open_runtime(artifact)
        images = self.test.images
        outputs = [
            runtime.run([to_model_input(images[i : i + _BATCH], self.preprocessing, runtime.inputs[0])])[0]
            for i in range(0, len(images), _BATCH)
        ]
        return ArtifactEntry(
            plan.name,
            plan.recipe.format,
            plan.recipe.scheme,
            tuple(target.name for target in plan.targets),
            artifact.sha256,
            runtime.inputs[0],
            runtime.outputs[0],
            tolerances_of(plan.recipe, artifact),
            share_right(np.concatenate(outputs), self.test.labels),
        )

    def exceeds(self, entry: ArtifactEntry, plan: PlannedArtifact) -> bool:
        """Whether a quantized file loses more than the bound allows."""
        accuracy, limit = entry.host_accuracy, self.config.max_drop
        if limit is None or accuracy is None or not plan.recipe.is_quantized:
            return False
        return self.float_accuracy - accuracy > limit + SHARE_SLACK

    def within_drop(
        self,
        plan: PlannedArtifact,
        plain: ArtifactEntry,
        source: SourceModel,
        calibration: Calibration,
        on_try: Callable[[str], None],
    ) -> tuple[Artifact, ArtifactEntry, DropSearch]:
        """Another way to make the file that keeps the bound. Raises: AccuracyDropError: there is none."""
        bound, plain_accuracy = self.config.max_drop or 0.0, plain.host_accuracy or 0.0
        made: dict[bytes, tuple[Artifact, ArtifactEntry]] = {}

        def drop_on_test(kept: Kept) -> float:
            recipe = replace(plan.recipe, scheme=kept.scheme, convert=lambda *_, **__: kept.data)
            mixed = replace(plan, recipe=recipe)
            try:
                artifact = self.make(mixed, source, calibration)
            except ConstraintError:
                return 1.0
            made[kept.data] = artifact, self.entry(mixed, artifact)
            return self.float_accuracy - (made[kept.data][1].host_accuracy or 0.0)

        search = None
        if takes_mixes(plan):
            search = keep_within(
                plan,
                source,
                calibration,
                self.train,
                preprocessing=self.preprocessing,
                bound=bound,
                plain_drop=self.float_accuracy - plain_accuracy,
                seed=self.config.seed,
                drop_on_test=drop_on_test,
                on_try=lambda what: on_try(f"{plan.name}: trying {what}"),
            )
            if search.kept is not None:
                return (*made[search.kept.data], search)
        tried = "" if search is None else search.told()
        raise AccuracyDropError(
            f"{plain.name} ({plain.scheme}) gets {plain_accuracy:.2%} of the test part right, "
            f"the float model {self.float_accuracy:.2%}: "
            f"a drop of {self.float_accuracy - plain_accuracy:.2%}, allowed {bound:.2%}{tried}; "
            f"{what_helps(plan, self.config.improvement, searched=bool(tried))}, or raise --max-drop"
        )


def share_right(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Outputs (n, classes), labels (n,) -> share whose largest output is the label's."""
    return float(np.mean(outputs.argmax(axis=1) == labels))
