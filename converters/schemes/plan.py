"""Which files an export makes: one for each different recipe, shared by all targets that take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.schemes.recipe import Recipe
from converters.schemes.table import recipe_of
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import Target, find_target


@dataclass(frozen=True)
class PlannedArtifact:
    """A file to make.

    Attributes:
        name: member name in the bundle.
        recipe: how.
        targets: for whom.
    """

    name: str
    recipe: Recipe
    targets: tuple[Target, ...]


def plan_artifacts(targets: Sequence[str], schemes: Sequence[str] = ()) -> tuple[PlannedArtifact, ...]:
    """The files for `targets`, each in its default scheme or in all of `schemes`, in the order of the arguments.

    The first file of a format is `model.FORMAT`, the others say what they are: `model-float32.tflite`.

    Raises:
        InputError: no or unknown targets, or a scheme that one of them does not take.
    """
    if not targets:
        raise InputError("no target given; name one or more with --target, see 'edge-cnn targets'")
    users: dict[Recipe, list[Target]] = {}
    for target in map(find_target, dict.fromkeys(targets)):
        for scheme in dict.fromkeys(schemes) or (target.default_scheme,):
            users.setdefault(recipe_of(target, scheme), []).append(target)
    planned: list[PlannedArtifact] = []
    for recipe, users_of_it in users.items():
        is_first = all(p.recipe.format != recipe.format for p in planned)
        name = f"model.{recipe.format}" if is_first else f"model-{recipe.suffix}.{recipe.format}"
        planned.append(PlannedArtifact(name, recipe, tuple(users_of_it)))
    return tuple(planned)
