"""What to try where a quantized file loses too much accuracy."""

from __future__ import annotations

from converters.improvement.improver import BITS, Improvement
from converters.schemes.plan import PlannedArtifact
from converters.schemes.table import schemes_of


def what_helps(plan: PlannedArtifact, done: Improvement, *, searched: bool) -> str:
    """Options of `export` that may help and were not given, with how they are typed.

    Args:
        plan: of the file.
        done: what was done before it was quantized.
        searched: whether equalization and bias correction were tried by themselves already.
    """
    trainable = plan.recipe.scheme in BITS
    free = [] if done.equalize else ["--equalize"]
    if trainable and not done.correct_bias:
        free.append("--correct-bias")
    trained = ["--qat EPOCHS"] if trainable and not done.qat else []
    ways = (
        [" ".join([*trained, *free])] if searched and trained else [*trained, *([] if searched else [" ".join(free)])]
    )
    if all("float16" in schemes_of(target) for target in plan.targets):
        ways.append("--scheme float16")
    return f"try {', or '.join([*filter(None, ways), 'train longer'])}, calibrate with more samples"
