"""A constraint is one function, whose docstring is its message and its documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.targets import Target

_SHOWN = 3


@dataclass(frozen=True)
class Constraint:
    """A rule for the artifacts of some targets.

    Attributes:
        applies: whether the rule holds for a target's artifact of a scheme.
        find: artifact -> what breaks the rule, named; empty where it is kept.
    """

    applies: Callable[[Target, str], bool]
    find: Callable[[Artifact], list[str]]

    @property
    def message(self) -> str:
        """The rule in one line, the first of the function's docstring."""
        return (self.find.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def name(self) -> str:
        return self.find.__name__

    def violation(self, artifact: Artifact) -> str | None:
        """None, or one line: the rule and what breaks it."""
        found = self.find(artifact)
        if not found:
            return None
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return f"{artifact.name}: {self.message}; got {', '.join(found[:_SHOWN])}{more}"
