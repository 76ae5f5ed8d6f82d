"""What went wrong with the training, or that nothing did."""

from __future__ import annotations

from html import escape

from edge_cnn.host.charts import LINE, SECOND
from edge_cnn.host.diagnosis import Finding, Trajectory, diagnose, passed, trajectory_of
from edge_cnn.host.training_report.section import Section, Story


def findings(story: Story) -> Section:
    """Each finding with its evidence and the next thing to try."""
    return findings_of(trajectory_of(story.result, story.dataset.train))


def findings_of(trajectory: Trajectory) -> Section:
    """The same of a training that has ended."""
    found = diagnose(trajectory)
    before = passed(trajectory)
    if not found and before:
        return Section(
            "Nothing to worry about at the end",
            "",
            f"The training was {before}; that is over. Read from the loss of each epoch, and from its gradients.",
            wide=True,
        )
    if not found:
        return Section(
            "Nothing to worry about",
            "",
            "The loss fell; it neither grew nor jumped, it did not crawl or stop before its time, and the "
            "validation loss followed the training loss.",
            wide=True,
        )
    return Section(
        "What to change",
        "".join(map(_card, found)),
        "Read from the loss of each epoch, and from its gradients.",
        wide=True,
    )


def _card(finding: Finding) -> str:
    evidence = finding.evidence[:1].upper() + finding.evidence[1:]
    return (
        f'<div style="border:1px solid {LINE};border-left:4px solid {SECOND};border-radius:4px;padding:.6rem .8rem;'
        f'margin:0 0 .6rem"><b>{escape(finding.name.capitalize())}</b><br>{escape(evidence)}.'
        f"<br>Try {escape(finding.advice)}.</div>"
    )
