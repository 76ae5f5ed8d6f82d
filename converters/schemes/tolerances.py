"""What a recipe's file is held against on devices."""

from __future__ import annotations

from converters.schemes.recipe import INTEGER, Recipe
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import NoHeadError
from edge_cnn.core.tolerance import HYBRID, Tolerance, default_tolerances
from edge_cnn.device.head.surgery import split_head
from edge_cnn.host.golden_recording import open_reference


def tolerances_of(recipe: Recipe, artifact: Artifact) -> dict[str, Tolerance]:
    """Tolerance by kernel family.

    Args:
        recipe: that made the file.
        artifact: the file; its logits are floats where the last layer was left in float.

    Raises:
        ModelError, RuntimeUnavailableError: the file cannot be run here.
    """
    reference = open_reference(artifact)
    quantized = recipe.arithmetic == INTEGER
    if quantized:
        try:
            logits = split_head(artifact).info.logits
        except NoHeadError:
            logits = reference.outputs[0]
        quantized = logits.quantization is not None
    return default_tolerances(
        recipe.format,
        quantized=quantized,
        recorded_by=reference.kernels().family,
        computes=HYBRID if recipe.arithmetic == INTEGER else recipe.arithmetic,
    )
