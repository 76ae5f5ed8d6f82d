"""Words for what a runtime made of a scheme's file, as `edge_cnn.device.runtimes.scheme_support` reads them."""

from __future__ import annotations

import re

from edge_cnn.device.runtimes.scheme_support import RUNS, runs


def verdict_within(steps: int) -> str:
    """That it runs, the logits being at most so many steps from the reference's."""
    return RUNS if steps == 0 else f"{RUNS}, within {steps} step{'s' if steps > 1 else ''}"


def steps_of(verdict: str) -> int:
    """The reverse of `verdict_within`, of a verdict that runs."""
    number = re.search(r"\d+", verdict)
    return int(number.group()) if number else 0


def worse(one: str, other: str) -> str:
    """Of the verdicts of two models: the first that does not run, else the one further off."""
    for verdict in (one, other):
        if not runs(verdict):
            return verdict
    return max(one, other, key=steps_of)
