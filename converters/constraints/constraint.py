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
        find: artifact -> what breaks the rule, named; empty where it is kept.
        schemes: the rule holds for these; empty for all.
        limits: target -> the numbers that `find` takes beyond the artifact; None where it takes none.
    """

    find: Callable[..., list[str]]
    schemes: frozenset[str] = frozenset()
    limits: Callable[[Target], int] | None = None

    @property
    def message(self) -> str:
        """The rule in one line, the first of the function's docstring."""
        return (self.find.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def name(self) -> str:
        return self.find.__name__

    def applies(self, scheme: str) -> bool:
        """Whether the rule holds for files of `scheme`."""
        return not self.schemes or scheme in self.schemes

    def violation(self, artifact: Artifact, target: Target) -> str | None:
        """None, or one line: the rule and what breaks it."""
        found = self.find(artifact) if self.limits is None else self.find(artifact, self.limits(target))
        if not found:
            return None
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return f"{artifact.name}: {self.message}; got {', '.join(found[:_SHOWN])}{more}"
