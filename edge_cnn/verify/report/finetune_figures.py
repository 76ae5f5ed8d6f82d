"""The figures of a fine-tuning: accuracies with their intervals, and the course of the training."""

from __future__ import annotations

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.device.finetuning.result import FinetuneResult
from edge_cnn.verify.paired_answers import PairedAnswers
from edge_cnn.verify.report.axis import Axis
from edge_cnn.verify.report.line_chart import Band, Curve, Mark, line_chart
from edge_cnn.verify.report.whiskers import WhiskerRow, whisker_rows


def percent(share: float) -> str:
    """A share for a person, as 93.1 %, in which no line breaks."""
    return f"{100 * share:.1f}\u202f%"


def with_interval(share: float, interval: tuple[float, float]) -> str:
    """A share with the ends of its interval, as 93.1 % (88.2 to 96.0)."""
    low, high = interval
    return f"{percent(share)} ({100 * low:.1f} to {100 * high:.1f})"


def accuracy_rows(result: FinetuneResult, pair: PairedAnswers) -> str:
    """HTML: new samples before and after, what was predicted, old samples before and after."""
    count, predicted, old = len(pair.labels), result.predicted, result.replay_held_out
    rows = [
        _row("new, before", count, result.before.holdout_accuracy, pair.interval_before, "before"),
        _row("new, after", count, result.after.holdout_accuracy, pair.interval_after, "after"),
        _row("predicted", predicted.judged, predicted.accuracy, predicted.interval, "reach"),
    ]
    for name, accuracies in (("before", result.before), ("after", result.after)):
        share = accuracies.replay_accuracy
        if share is not None:
            rows.append(_row(f"old, {name}", old, share, wilson_interval(round(share * old), old), name))
    # Room for the figures below the first and the last tick.
    return whisker_rows(rows, Axis(-0.05, 1.05))


def course(result: FinetuneResult, pair: PairedAnswers) -> str:
    """HTML: loss and accuracy over the passes, side by side where there is room, and all figures folded away."""
    history, predicted = result.history, result.predicted
    held = "held-out new and old samples" if result.replay_held_out else "held-out samples"
    loss = line_chart(
        "Loss, in nats",
        [
            Curve("training, with L2", "training", [(e.epoch, e.loss) for e in history]),
            Curve(f"{held}, without L2", "heldout", [(e.epoch, e.holdout_loss) for e in history]),
        ],
        chosen=result.chosen_pass,
    )
    reach = f"what the last layer can reach: {with_interval(predicted.accuracy, predicted.interval)}"
    accuracy = line_chart(
        "Accuracy, in %",
        [Curve(held, "heldout", [(e.epoch, e.holdout_accuracy) for e in history])],
        chosen=result.chosen_pass,
        percent=True,
        band=Band(reach, predicted.interval[0], predicted.accuracy, predicted.interval[1]),
        marks=(
            Mark(f"the file before, {len(pair.labels)} new samples", "before", 0, result.before.holdout_accuracy),
            Mark(
                f"the file after, {len(pair.labels)} new samples",
                "after",
                result.chosen_pass,
                result.after.holdout_accuracy,
            ),
        ),
    )
    rows = "".join(
        f"<tr><td>{e.epoch}</td><td>{e.loss:.4f}</td><td>{e.holdout_loss:.4f}</td><td>{percent(e.holdout_accuracy)}</td></tr>"
        for e in history
    )
    return (
        f'<div class="pair">{loss}{accuracy}</div><details><summary>Every pass in figures</summary>'
        '<table class="passes"><thead>'
        "<tr><th>pass</th><th>training loss</th><th>held-out loss</th><th>held-out accuracy</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )


def _row(name: str, samples: int, share: float, interval: tuple[float, float], style: str) -> WhiskerRow:
    return WhiskerRow(name, f"n = {samples}", with_interval(share, interval), share, interval, style)
