"""What each class gained or lost, as dots with whiskers."""

from __future__ import annotations

from html import escape

from edge_cnn.verify.class_gains import ClassGain, class_gains
from edge_cnn.verify.paired_answers import SIGNIFICANT, PairedAnswers
from edge_cnn.verify.paired_difference import paired_difference_interval
from edge_cnn.verify.report.axis import Axis
from edge_cnn.verify.report.whiskers import WhiskerRow, whisker_rows

MOST_OPEN = 24
"""Classes that are shown at once; of more, those in the middle are folded away."""


def gain_part(pair: PairedAnswers, names: tuple[str, ...]) -> str:
    """HTML of the rows, the largest loss first.

    Args:
        pair: the answers before and after.
        names: of the classes.
    """
    gains = class_gains(pair)
    axis = _axis(pair, gains)
    if len(gains) <= MOST_OPEN:
        rows = whisker_rows([_all_classes(pair), *(_row(gain, names) for gain in gains)], axis, signed=True)
    else:
        half = MOST_OPEN // 2
        least, middle, most = (
            [_row(gain, names) for gain in part] for part in (gains[:half], gains[half:-half], gains[-half:])
        )
        rows = (
            f"{whisker_rows([_all_classes(pair), *least], axis, signed=True)}<details><summary>{len(middle)} classes "
            f"between these</summary>{whisker_rows(middle, axis, signed=True)}</details>"
            f"{whisker_rows(most, axis, signed=True)}"
        )
    return (
        '<p class="soft">Recall (share of the samples of a class that get its name) after minus before, with its '
        "95&#8239;% confidence interval for paired answers (Agresti and Min 2005), the largest loss first. p is that "
        "of McNemar's exact test on the samples that were lost or won. Of twenty classes that changed nothing, about "
        f"one shows an interval without 0 by chance.</p>{rows}{_without_samples(gains, names)}"
    )


def _row(gain: ClassGain, names: tuple[str, ...]) -> WhiskerRow:
    return WhiskerRow(
        names[gain.label],
        f"n = {gain.samples}: {gain.before / gain.samples:.0%} → {gain.after / gain.samples:.0%}",
        _numbers(gain.difference, gain.interval, gain.p_value),
        gain.difference,
        gain.interval,
        _style(gain.difference, gain.p_value),
    )


def _all_classes(pair: PairedAnswers) -> WhiskerRow:
    count = len(pair.labels)
    difference = (pair.won - pair.lost) / count
    interval = paired_difference_interval(pair.lost, pair.won, count)
    numbers = _numbers(difference, interval, pair.p_value)
    remark = f"n = {count}: {pair.lost} lost, {pair.won} won"
    return WhiskerRow("all classes", remark, numbers, difference, interval, _style(difference, pair.p_value))


def _numbers(difference: float, interval: tuple[float, float], p_value: float) -> str:
    low, high = (100 * end for end in interval)
    return f"{100 * difference:+.1f} ({low:+.1f} to {high:+.1f}), p = {p_value:.2g}"


def _style(difference: float, p_value: float) -> str:
    if p_value >= SIGNIFICANT:
        return "chance"
    return "won" if difference > 0 else "lost"


def _axis(pair: PairedAnswers, gains: tuple[ClassGain, ...]) -> Axis:
    ends = [end for gain in gains for end in gain.interval]
    ends += paired_difference_interval(pair.lost, pair.won, len(pair.labels))
    low, high = min(0.0, *ends), max(0.0, *ends)
    # Room for the figures below the first and the last tick.
    room = 0.05 * (high - low)
    return Axis(low - room, high + room)


def _without_samples(gains: tuple[ClassGain, ...], names: tuple[str, ...]) -> str:
    judged = {gain.label for gain in gains}
    missing = [escape(name) for label, name in enumerate(names) if label not in judged]
    return f'<p class="soft">Without held-out samples: {", ".join(missing)}.</p>' if missing else ""
