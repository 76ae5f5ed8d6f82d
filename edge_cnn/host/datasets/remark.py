"""What there is to say of data, beside the samples that show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A sample that shows what a remark says.

    Attributes:
        part: "train" or "test".
        row: of that part.
        caption: a few words.
    """

    part: str
    row: int
    caption: str


@dataclass(frozen=True)
class Remark:
    """Something doubtful, which does not keep from training.

    Attributes:
        finding: what kind it is, for scripts.
        text: one line for a person, with what was found and what to do.
        examples: samples to look at.
    """

    finding: str
    text: str
    examples: tuple[Example, ...] = ()

    def to_json(self) -> dict[str, str]:
        return {"finding": self.finding, "text": self.text}
