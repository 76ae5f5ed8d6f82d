"""`edge-cnn finetune --stream`: labelled samples one by one, and OUT is written whenever the head has become better."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge_cnn.cli.console import Console, table
from edge_cnn.cli.ending import asked_to_end
from edge_cnn.cli.live_line import LiveLine
from edge_cnn.cli.output_path import check_file, check_folder
from edge_cnn.cli.slot_options import slot_folder
from edge_cnn.cli.slot_tuning import install_tuned, slot_for_tuning
from edge_cnn.cli.stream_sources import Source, open_source
from edge_cnn.core.bundle import SUFFIX
from edge_cnn.core.errors import DataError, InputError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.sample_source import read_data
from edge_cnn.device.stream.commit_rule import CommitRule
from edge_cnn.device.stream.result import HoldoutAccuracy, StreamConfig, StreamSummary, StreamUpdate
from edge_cnn.device.stream.tuning import StreamTuner
from edge_cnn.device.training.head_training import TrainingConfig

IDLE_SECONDS = 2.0
"""Of silence after which samples that wait are learned from, though they are fewer than --update-every."""

MEANINGLESS = {
    "holdout": "every fifth sample of a class is held out",
    "add_classes": "tune with --data to add classes",
    "keep_classes": "tune with --data to drop classes",
    "resume": "a stream starts with what OUT holds when MODEL names it",
    "cache": "each sample is embedded once, as it comes",
    "memory": "the newest 20,000 embeddings are kept",
    "log": "when samples came cannot be told again",
    "reproduce": "when samples came cannot be told again",
    "report": "each update is told as it comes",
}
"""Options that say nothing in a stream -> why."""


@dataclass(frozen=True)
class StreamOptions:
    """What the command line says of a stream.

    Attributes:
        source: a folder, or - for standard input; None without --stream.
        every: samples between two updates.
        idle_timeout: seconds of silence that end the stream; None for never.
        max_old_drop: share of the held-out old samples that a version to be written may lose.
    """

    source: str | None
    every: int
    idle_timeout: float | None
    max_old_drop: float

    def check(self, data: Path | None) -> None:
        """Raises: InputError: not exactly one of --data and --stream, or an option that means nothing with it."""
        if (data is None) == (self.source is None):
            both = "got both" if data is not None else "got neither"
            raise InputError(f"finetune takes either --data or --stream, {both}; give one of them")
        if self.source is None:
            for name in ("update_every", "idle_timeout", "max_old_drop"):
                if _given(name):
                    raise InputError(f"{_spelled(name)} is for --stream; leave it out")
            return
        for name, reason in MEANINGLESS.items():
            if _given(name):
                raise InputError(f"{_spelled(name)} does not go with --stream: {reason}; leave it out")


def stream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --stream, --update-every, --idle-timeout and --max-old-drop; the command takes them together as `stream`."""

    @click.option(
        "--stream", "source", metavar="SOURCE", help="Instead of --data: a folder being filled, or - for lines."
    )
    @click.option("--update-every", type=click.IntRange(1), default=10, show_default=True, help="--stream: samples.")
    @click.option(
        "--idle-timeout", type=click.FloatRange(0), metavar="SECONDS", help="--stream: ends after such silence."
    )
    @click.option(
        "--max-old-drop",
        type=click.FloatRange(0, 1),
        default=CommitRule.forgettable,
        show_default=True,
        metavar="SHARE",
        help="--stream: of the old samples held out, that may be forgotten.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        source: str | None,
        update_every: int,
        idle_timeout: float | None,
        max_old_drop: float,
        **kwargs: Any,
    ) -> Any:
        return command(*args, stream=StreamOptions(source, update_every, idle_timeout, max_old_drop), **kwargs)

    return wrapped


def finetune_stream(
    console: Console,
    stream: StreamOptions,
    open_model: Callable[[], Classifier],
    out: Path,
    replay: Path | None,
    training: TrainingConfig,
) -> int:
    """Follow the stream to its end.

    Raises:
        InputError: OUT cannot be written; before the stream begins.
        DataError: nothing that came could be used.
    """
    assert stream.source is not None, "StreamOptions.check has made sure"
    slot = slot_folder(out)
    out = slot or out
    classifier = open_model()
    line = LiveLine(console)
    if slot is None:
        bare = f".{classifier.artifact.format}"
        check_file(out, [SUFFIX, bare] if classifier.bundle is not None else [bare])
        commit: Callable[[Classifier], None] = lambda tuned: tuned.save(out)  # noqa: E731  # one of two, and its type
    else:
        check_folder(slot)
        writer = click.get_current_context().with_resource(slot_for_tuning(slot, classifier, console))
        commit = functools.partial(install_tuned, writer)
    source = open_source(stream.source, classifier, line.note)
    old = _read_replay(replay, classifier, console) if replay else None
    rule = CommitRule(forgettable=stream.max_old_drop)
    tuner = StreamTuner(classifier, StreamConfig(console.seed, training=training, rule=rule), old, commit)
    if not tuner.has_replay:
        console.note("no replay samples: what the model knew before may be forgotten; --replay DATA keeps it")
    others = [a.name for a in classifier.bundle.artifacts if a != classifier.artifact] if classifier.bundle else []
    if others:
        console.note(f"left out of the new bundle, as they would still have the old head: {', '.join(others)}")
    with asked_to_end() as asked:
        _follow(console, line, stream, source, tuner, asked)
        source.close()
        line.clear()
        summary = tuner.summary
    if not summary.samples and source.skipped:
        raise DataError(f"none of the {source.skipped_count} samples could be used; the first: {source.skipped[0]}")
    if classifier.bundle is None and "given" in classifier.preprocessing_source:
        console.note("the file cannot say so itself: give the same --input-range whenever you use it")
    document = summary.to_json() | {
        "out": str(out) if summary.commits else None,
        "skipped": source.skipped,
        "left_out": others,
        "classes": list(classifier.labels),
    }
    console.result(document, _summary(summary, out))
    return 0


def _follow(
    console: Console,
    line: LiveLine,
    stream: StreamOptions,
    source: Source,
    tuner: StreamTuner,
    asked: Callable[[], bool],
) -> None:
    """Take samples and update, until the stream ends, falls silent for too long, or somebody asks for its end."""
    last = time.monotonic()
    while not asked() and (there := source.look()) is not None:
        took = source.is_busy
        for read in there:
            if asked():
                break
            sample = read()
            if sample is None:
                continue
            took = True
            tuner.add(*sample)
            if tuner.waiting >= stream.every:
                _update(console, line, tuner)
        silence = time.monotonic() - last
        if took:
            last = time.monotonic()
        elif tuner.waiting and silence >= IDLE_SECONDS:
            _update(console, line, tuner)
        elif stream.idle_timeout is not None and silence >= stream.idle_timeout:
            break
    if tuner.waiting:
        _update(console, line, tuner)


def _update(console: Console, line: LiveLine, tuner: StreamTuner) -> None:
    update = tuner.update()
    if console.json:
        console.result(update.to_json(), "")
    else:
        line.show(_described(update), keep=update.committed)


def _described(update: StreamUpdate) -> str:
    seen = "-" if update.seen.recent is None else f"{100 * update.seen.recent:.1f} %"
    text = f"{update.samples} samples, seen {seen}, held-out {_accuracy(update.head)}"
    if update.committed:
        return f"{text}; committed"
    # The reason last, where a narrow terminal cuts it.
    before = update.committed_head.share
    told = "" if before is None else f", committed {100 * before:.1f} %"
    return f"{text}{told}; not committed: {update.reason}"


def _summary(summary: StreamSummary, out: Path) -> str:
    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f} %"

    rows = [
        ["held-out new samples", _accuracy(summary.before), _accuracy(summary.after)],
        ["held-out old samples", percent(summary.before.replay_accuracy), percent(summary.after.replay_accuracy)],
    ]
    if not summary.samples:
        return "no samples came; not saved"
    ending = f"{summary.commits} commits, the last one in {out}" if summary.commits else f"not saved: {summary.reason}"
    return (
        table(["accuracy (95 % interval)", "before", "after"], rows)
        + f"\n{summary.samples} samples, {summary.after.samples} of them held out; answered right before they were "
        f"learned from: {percent(summary.seen.overall)} of all, {percent(summary.seen.recent)} of the last "
        f"{summary.seen.window}; {summary.updates} updates, {summary.steps} steps, {ending}"
    )


def _accuracy(accuracy: HoldoutAccuracy) -> str:
    if accuracy.share is None:
        return "-"
    low, high = (100 * end for end in accuracy.interval)
    return f"{100 * accuracy.share:.1f} % ({low:.0f} to {high:.0f})"


def _read_replay(path: Path, classifier: Classifier, console: Console) -> LabelledImages:
    """Labelled samples of the old task; or the training part of a data set of that name."""
    from edge_cnn.host.datasets import DATASETS, load_dataset

    if str(path) in DATASETS and not path.exists():
        return load_dataset(str(path)).train
    return read_data(
        path, classifier.image_shape, classifier.labels, lambda _, reason: console.note(f"skipped: {reason}")
    )


def _given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"
