"""What became of one artifact on one device since the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.verify.paired_answers import PairedAnswers

SAME, CHANGED, REGRESSED, NEW, NOT_RUN = "same", "changed", "regressed", "new", "not run"
"""The same bits; other bits for a known reason; worse; not in the baseline; in the baseline, but not run now."""


@dataclass(frozen=True)
class BaselineChange:
    """One cell of the matrix against the baseline's.

    Attributes:
        artifact, device, runtime: which cell.
        status: `SAME`, `CHANGED`, `REGRESSED`, `NEW` or `NOT_RUN`.
        reason: what changed and why it is a regression or not, for a person.
        answers: the baseline's (before) and today's (after); None where one side has none.
    """

    artifact: str
    device: str
    runtime: str
    status: str
    reason: str
    answers: PairedAnswers | None = None

    @property
    def is_regression(self) -> bool:
        return self.status == REGRESSED

    def to_json(self) -> dict[str, Any]:
        pair = self.answers
        return {
            "artifact": self.artifact,
            "device": self.device,
            "runtime": self.runtime,
            "status": self.status,
            "reason": self.reason,
            "lost": pair.lost if pair else None,
            "won": pair.won if pair else None,
            "mcnemar_p": pair.p_value if pair else None,
            "flips": [{"sample": f.sample, "label": f.label, "before": f.before, "after": f.after} for f in pair.flips]
            if pair
            else [],
        }
