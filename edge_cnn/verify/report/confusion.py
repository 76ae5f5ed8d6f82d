"""What is taken for what, before and after: two matrices, or a list of pairs where there are many classes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_cnn.verify.paired_answers import PairedAnswers

MOST_MATRIX_CLASSES = 20
"""A matrix of more is too fine to read beside another one."""

MOST_NUMBERED_CLASSES = 12
"""Up to so many, the counts stand in the cells on a phone as well."""

MOST_FLAT_LETTERS = 30
"""Longer names stand upright over their columns."""

MOST_PAIRS = 20


@dataclass(frozen=True)
class ConfusedPair:
    """How often samples of `label` got the wrong answer `answer`, in either run."""

    label: int
    answer: int
    before: int
    after: int


def confusion_part(pair: PairedAnswers, names: tuple[str, ...]) -> str:
    """HTML of the two matrices or of the list.

    Args:
        pair: the answers.
        names: of the classes.
    """
    if len(names) > MOST_MATRIX_CLASSES:
        return _pair_list(pair, names)
    rows = (("Before", pair.before), ("After", pair.after))
    tables = "".join(_matrix(title, confusion_counts(pair.labels, given, len(names)), names) for title, given in rows)
    return (
        '<p class="soft">Rows are what a sample is, columns what the file answers. The shade is the share of the row, '
        "blue for right answers and red for wrong ones, whose small shares are shown larger.</p>"
        f'<div class="pair">{tables}</div>'
    )


def confusion_counts(labels: tuple[int, ...], answers: tuple[int, ...], classes: int) -> NDArray[np.int64]:
    """int64 (classes, classes): how many samples of a row's class got a column's class as their answer."""
    cells = np.array(labels, np.int64) * classes + np.array(answers, np.int64)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def confused_pairs(pair: PairedAnswers) -> list[ConfusedPair]:
    """All wrong answers, the most frequent first."""
    counts: dict[tuple[int, int], list[int]] = {}
    for run, given in enumerate((pair.before, pair.after)):
        for label, answer in zip(pair.labels, given, strict=True):
            if label != answer:
                counts.setdefault((label, answer), [0, 0])[run] += 1
    found = [ConfusedPair(*key, *both) for key, both in counts.items()]
    return sorted(found, key=lambda p: (-max(p.before, p.after), -p.after, p.label, p.answer))


def _matrix(title: str, counts: NDArray[np.int64], names: tuple[str, ...]) -> str:
    heads = "".join(f'<th scope="col" title="{escape(n, quote=True)}"><span>{escape(n)}</span></th>' for n in names)
    totals = counts.sum(axis=1)
    rows = "".join(
        f'<tr><th scope="row" title="{escape(name, quote=True)}"><span>{escape(name)}</span></th>'
        f"{''.join(_cell(i, j, int(count), int(totals[i]), names) for j, count in enumerate(counts[i]))}</tr>"
        for i, name in enumerate(names)
    )
    dense = " dense" if len(names) > MOST_NUMBERED_CLASSES or counts.max() > 999 else ""
    longest = max(map(len, names))
    upright = " upright" if longest * len(names) > MOST_FLAT_LETTERS else ""
    return (
        f'<figure><h3>{title}</h3><table class="confusion{dense}{upright}"><thead><tr>'
        f'<td style="width:min({min(longest, 16)}ch + 1rem,22vw)"></td>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></figure>"
    )


def _cell(label: int, answer: int, count: int, total: int, names: tuple[str, ...]) -> str:
    if not count:
        return "<td></td>"
    share = count / total
    # A few wrong answers among many right ones are what a reader looks for.
    shade, kind = (share, "right") if label == answer else (share**0.5, "wrong")
    told = escape(f"{names[label]} taken for {names[answer]}: {count} of {total}", quote=True)
    return f'<td class="{kind}" style="--shade:{shade:.2f}" title="{told}">{count}</td>'


def _pair_list(pair: PairedAnswers, names: tuple[str, ...]) -> str:
    pairs = confused_pairs(pair)
    if not pairs:
        return '<p class="good">No held-out sample is taken for another class, before or after.</p>'
    most = max(max(p.before, p.after) for p in pairs)
    rows = "".join(
        f"<tr><td><b>{escape(names[p.label])}</b> taken for <b>{escape(names[p.answer])}</b></td>"
        f"<td>{_bar('before', p.before, most)}{_bar('after', p.after, most)}</td></tr>"
        for p in pairs[:MOST_PAIRS]
    )
    hidden = len(pairs) - MOST_PAIRS
    more = f'<p class="soft">and {hidden} more pairs of classes</p>' if hidden > 0 else ""
    return (
        f'<p class="soft">{len(names)} classes are too many for a matrix; these are taken for each other most.</p>'
        '<div class="keys"><span class="key"><i class="before"></i>before</span><span class="key"><i class="after"></i>'
        f'after</span></div><table class="pairs"><tbody>{rows}</tbody></table>{more}'
    )


def _bar(style: str, count: int, most: int) -> str:
    return (
        f'<div class="count"><i class="{style}" style="width:{100 * count / most:.1f}%"></i><span>{count}</span></div>'
    )
