"""The page of a fine-tuning: verdict, accuracies, the course of training, what became right and wrong, settings."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.finetuning.result import FinetuneResult
from edge_cnn.verify.paired_answers import SIGNIFICANT, PairedAnswers
from edge_cnn.verify.report.confusion import confusion_part
from edge_cnn.verify.report.document import html_document
from edge_cnn.verify.report.finetune_facts import certificate_words, settings_list
from edge_cnn.verify.report.finetune_figures import accuracy_rows, course, percent, with_interval
from edge_cnn.verify.report.finetune_style import STYLE
from edge_cnn.verify.report.flip_images import Samples, flip_figures
from edge_cnn.verify.report.gain_rows import gain_part


def finetune_html(
    result: FinetuneResult,
    name: str,
    images: Callable[[NDArray[np.int64]], NDArray[Any]] | None,
    name_of: Callable[[int], str] = "sample {}".format,
    *,
    data: str = "",
    saved: str | None = None,
) -> str:
    """The document.

    Args:
        result: what to show.
        name: of the file that was tuned.
        images: gives the new samples at int64 (k,) rows: uint8 (k, height, width, channels), or floats, which are not
            drawn; asked once, for those that are drawn. None draws none.
        name_of: what a new sample is called, by its row; of a path the last part is shown.
        data: where the new samples came from, as the user named it.
        saved: where the tuned file was written; None if it was not.
    """
    held, names = result.held_out, result.classifier.labels
    pair = PairedAnswers(*(tuple(part.tolist()) for part in (held.labels, held.before, held.after)))

    def called(sample: int) -> str:
        return PurePath(name_of(int(held.rows[sample]))).name

    samples = Samples(names, None if images is None else lambda at: images(held.rows[at]), called)
    parts = (
        (
            "Accuracy",
            '<p class="soft">Shares of right answers with their 95&#8239;% confidence interval (Wilson), on samples '
            "that no gradient step saw. New samples are those given, as the file itself answers them; old ones are "
            "replayed. Predicted is what a cross-validated linear probe said before the training that the last layer "
            "can reach.</p>"
            f"{accuracy_rows(result, pair)}{_optimism(result)}",
        ),
        ("Training", course(result, pair)),
        ("What is taken for what", confusion_part(pair, names)),
        ("Changed answers", _changed(pair, samples)),
        ("Class by class", gain_part(pair, names)),
        ("Certificate", certificate_words(result)),
        ("To do it again", settings_list(result, name, data)),
    )
    sections = "".join(f"<section><h2>{title}</h2>{inside}</section>\n" for title, inside in parts)
    return html_document(f"Fine-tuning: {name}", STYLE, f"{_verdict(result, pair, saved)}\n{sections}")


def _verdict(result: FinetuneResult, pair: PairedAnswers, saved: str | None) -> str:
    before, after, count = result.before, result.after, len(pair.labels)
    change = after.holdout_accuracy - before.holdout_accuracy
    moved = "rose" if change > 0 else "fell" if change < 0 else "stayed the same"
    ending = f"saved as {saved}" if saved else "not saved"
    chance = "more than chance" if pair.p_value < SIGNIFICANT else "which may be chance"
    old = ""
    if before.replay_accuracy is not None and after.replay_accuracy is not None:
        old = (
            f"<p>Old samples: {percent(before.replay_accuracy)} before, {percent(after.replay_accuracy)} after "
            f"({result.replay_held_out} held out).</p>"
        )
    return (
        f'<div class="verdict{"" if result.improved else " fell"}"><p>Held-out accuracy <b>{moved}</b> from '
        f"<b>{with_interval(before.holdout_accuracy, pair.interval_before)}</b> to "
        f"<b>{with_interval(after.holdout_accuracy, pair.interval_after)}</b> on {count} new "
        f"sample{'s' if count > 1 else ''}; {pair.lost} right answers were lost and {pair.won} won (McNemar's exact "
        f"p = {pair.p_value:.2g}, {chance}); the tuned file was <b>{escape(ending)}</b>.</p>{old}</div>"
    )


def _optimism(result: FinetuneResult) -> str:
    if result.chosen_pass == len(result.history):
        return ""
    return (
        '<p class="soft">The held-out samples also chose the pass, so the figures after are slightly optimistic; for '
        "unbiased ones classify samples that fine-tuning never had.</p>"
    )


def _changed(pair: PairedAnswers, samples: Samples) -> str:
    if not pair.flips:
        return "<p>No held-out sample got another answer.</p>"
    return flip_figures(pair, samples, "before", "after")
