"""The smallest and fastest mix that keeps the drop within a bound, each candidate made and measured.

First what costs nothing on the device: equalization, bias correction, the calibration methods. Then layers stay in
float, the most damaging one first, until the drop fits; last, each of them goes back to int8 where it still fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters.calibration.table import ESTIMATORS
from converters.explanation.mix import Measure, Mix, MixMaker, float_share
from edge_cnn.verify.tolerance_check import SHARE_SLACK

Groups = Sequence[tuple[str, ...]]
"""Names of layers that stay in float together."""

MOST_GROUPS = 8


@dataclass(frozen=True)
class Try:
    """A mix that was made and measured.

    Attributes:
        mix: how.
        size: of the file, in bytes, without metadata.
        accuracy: share of the held-out samples that it gets right.
        drop: what it loses against the float model on them.
        float_share: share of the multiplications that stay in float, by which the time is estimated.
    """

    mix: Mix
    size: int
    accuracy: float
    drop: float
    float_share: float

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.mix.describe(),
            **self.mix.to_json(),
            "bytes": self.size,
            "accuracy": round(self.accuracy, 6),
            "drop": round(self.drop, 6),
            "float_share": round(self.float_share, 6),
        }


def describe_try(tried: dict[str, Any]) -> str:
    """A way that was tried, from its JSON, as a manifest has it: a sentence for a person."""
    in_float = f", {tried['float_share']:.0%} of the multiplications in float" if tried["exclude"] else ""
    return f"{tried['what']}: drop {tried['drop']:.2%}, {tried['bytes']:,} bytes{in_float}"


@dataclass(frozen=True)
class Search:
    """A search's path and end.

    Attributes:
        tries: in the order in which they were made.
        chosen: the smallest and fastest within the bound, else the one with the least drop.
        within: whether it is within the bound.
    """

    tries: tuple[Try, ...]
    chosen: Try
    within: bool


class MixSearch:
    """A search over mixes; every mix is made and measured once, whatever the bound.

    Args:
        maker: of files.
        measure: accuracy of a file on held-out samples.
        float_accuracy: of the float model on the same samples.
        on_try: told what is tried next.
    """

    def __init__(
        self,
        maker: MixMaker,
        measure: Measure,
        float_accuracy: float,
        on_try: Callable[[str], None] | None = None,
    ) -> None:
        self._maker = maker
        self._measure = measure
        self._float_accuracy = float_accuracy
        self._on_try = on_try
        self._done: dict[Mix, Try] = {}
        self._rejected: set[Mix] = set()

    @property
    def tries(self) -> tuple[Try, ...]:
        """All so far, in order."""
        return tuple(self._done.values())

    def attempt(self, mix: Mix) -> Try:
        """Make and measure a mix. Raises: ModelError: the quantizer refuses it."""
        if mix not in self._done:
            if self._on_try is not None:
                self._on_try(mix.describe())
            data = self._maker.make(mix)
            accuracy = self._measure(data)
            share = float_share(self._maker.graph, mix.exclude)
            self._done[mix] = Try(mix, len(data), accuracy, self._float_accuracy - accuracy, share)
        return self._done[mix]

    def reject(self, mix: Mix) -> None:
        """Never choose this one: it failed elsewhere."""
        self._rejected.add(mix)

    def data(self, mix: Mix) -> bytes:
        """The bytes of a mix's file, without metadata."""
        return self._maker.make(mix)

    def run(self, bound: float, damaging: Callable[[], Groups] | None, first: Mix | None = None) -> Search:
        """Search.

        Args:
            bound: largest drop.
            damaging: what may stay in float, the most damaging group of layers first, see `float_groups`; None where
                nothing may. Asked only when it is needed.
            first: what to begin with; plain int8 if None.
        """
        start = first or Mix()
        best = self.attempt(start)
        if self._fits(best, bound):
            return self._end(best, bound)
        for mix in _without_floats(start):
            best = min(best, self.attempt(mix), key=self._rank)
            if self._fits(best, bound):
                return self._end(best, bound)
        if damaging is not None:
            best = self.exclude(best.mix, bound, damaging())
        return self._end(best, bound)

    def exclude(self, mix: Mix, bound: float, groups: Groups) -> Try:
        """Leave layers in float until the drop fits, then take back those that it does not need."""
        best = self.attempt(mix)
        for group in groups[:MOST_GROUPS]:
            if self._fits(best, bound):
                break
            excluded = tuple(dict.fromkeys((*best.mix.exclude, *group)))
            tried = self.attempt(replace(best.mix, exclude=excluded))
            # What gains nothing stays in int8.
            gains = tried.drop < best.drop - SHARE_SLACK or best.mix in self._rejected
            best = tried if gains else best
        if not self._fits(best, bound):
            return best
        for name in reversed(best.mix.exclude):
            tried = self.attempt(replace(best.mix, exclude=tuple(n for n in best.mix.exclude if n != name)))
            best = tried if self._fits(tried, bound) else best
        return best

    def _rank(self, tried: Try) -> tuple[bool, float]:
        return tried.mix in self._rejected, tried.drop

    def _fits(self, tried: Try, bound: float) -> bool:
        return tried.drop <= bound + SHARE_SLACK and tried.mix not in self._rejected

    def _end(self, best: Try, bound: float) -> Search:
        return Search(self.tries, best, self._fits(best, bound))


def _without_floats(start: Mix) -> list[Mix]:
    """What costs no time on the device, in the order of trust."""
    ways = [replace(start, equalized=True), replace(start, bias_corrected=True)]
    ways.append(replace(start, equalized=True, bias_corrected=True))
    ways += [replace(start, method=method) for method in ESTIMATORS if method != start.method]
    return [*ways, *(replace(way, equalized=True, bias_corrected=True) for way in ways[3:])]
