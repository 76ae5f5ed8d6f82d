"""`edge-cnn finetune`: the last layer is trained on the device, written back into the same file format."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge_cnn.cli.class_options import WantedClasses, class_options
from edge_cnn.cli.console import PATH, Console, common_options, table
from edge_cnn.cli.finetune_progress import shown
from edge_cnn.cli.finetune_stream import StreamOptions, finetune_stream, stream_options
from edge_cnn.cli.model_options import model_options
from edge_cnn.cli.output_path import check_file
from edge_cnn.cli.sample_notes import SampleNotes, read_or_blank
from edge_cnn.cli.slot_options import slot_folder
from edge_cnn.cli.slot_tuning import install_tuned, slot_for_tuning
from edge_cnn.cli.tuning_work import TuningWork, announce, is_in_place, work_options
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import SUFFIX
from edge_cnn.core.errors import EdgeCnnError, InputError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.finetuning import finetune_samples
from edge_cnn.device.finetuning.log import check_reproduced
from edge_cnn.device.finetuning.result import FinetuneConfig, FinetuneResult
from edge_cnn.device.sample_source import SampleSource, open_data
from edge_cnn.device.training.head_training import TrainingConfig
from edge_cnn.device.training.malloc_arenas import share_one_arena
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings
from edge_cnn.device.training.optimizers.table import AUTO, OPTIMIZERS

FORGOTTEN = 0.02
"""Fall of the accuracy on held-out old samples that is worth a remark."""


@click.command("finetune")
@common_options
@model_options
@click.option("--data", type=PATH, help="Folder with one sub-folder of images a class, .npz, or name.")
@stream_options
@click.option("--out", type=PATH, required=True, help="New file, of the same format as MODEL; or a slot.")
@click.option("--holdout", type=float, default=0.2, show_default=True, help="Share of the samples held out.")
@click.option("--replay", type=PATH, help="Samples of the old task, against forgetting; default: the bundle's own.")
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page: loss, confusion, changed answers, gains.")
@class_options
@click.option(
    "--optimizer", type=click.Choice((AUTO, *OPTIMIZERS)), default=AUTO, show_default=True, help="auto chooses by size."
)
@click.option("--l2", default=AUTO, show_default=True, help="Pull to the model's own head; auto cross-validates it.")
@click.option("--balance", is_flag=True, help="Weigh samples by the inverse frequency of their class.")
@click.option("--label-smoothing", type=float, default=0.0, show_default=True, help="Against wrong labels, below 1.")
@click.option("--epochs", type=int, default=100, show_default=True, help="Passes over the data at most.")
@click.option("--patience", type=int, default=20, show_default=True, help="Passes without improvement before it stops.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="sgd: samples a step.")
@click.option("--learning-rate", type=float, help="Step on standardized features (sgd); default: from the curvature.")
@click.option(
    "--momentum", type=float, default=0.9, show_default=True, help="sgd: share of the last step that is kept."
)
@work_options
def command(
    console: Console,
    model: Path,
    open_model: Callable[[], Classifier],
    data: Path | None,
    stream: StreamOptions,
    out: Path,
    holdout: float,
    replay: Path | None,
    report: Path | None,
    classes: WantedClasses,
    optimizer: str,
    l2: str,
    balance: bool,
    label_smoothing: float,
    epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float | None,
    momentum: float,
    work: TuningWork,
) -> int:
    """Retrain the last layer of MODEL on DATA, or on samples as they come, and write it to OUT.

    OUT is written only if the held-out accuracy did not go down, nor stayed while old samples were forgotten (else exit
    status 1), the page of --report either way;
    MODEL itself is never touched unless OUT names it. Where OUT is a slot, the tuned bundle becomes its next version,
    checked as 'install' does.

    A stream writes it whenever more held-out samples are answered right. Its lines are path<TAB>label, or JSON objects
    with "image" and "label"; Ctrl-C ends it well.
    """
    stream.check(data)
    share_one_arena()
    settings = OptimizerSettings(passes=epochs, learning_rate=learning_rate, batch_size=batch_size, momentum=momentum)
    training = TrainingConfig(
        optimizer, settings, _l2(l2), balanced=balance, smoothing=label_smoothing, patience=patience
    )
    if data is None:
        return finetune_stream(console, stream, open_model, out, replay, training)
    slot = slot_folder(out)
    out = slot or out
    asked = FinetuneConfig(holdout, console.seed, work.memory, training)
    classifier = open_model()
    config = work.config(asked)
    if slot is None:
        bare = f".{classifier.artifact.format}"
        check_file(out, [SUFFIX, bare] if classifier.bundle is not None else [bare])
    work.check_paths(out, report, ("MODEL", model), ("--data", data), ("--replay", replay))
    # Until the command ends, so that nobody else tunes or switches what this one is going to replace.
    writer = click.get_current_context().with_resource(slot_for_tuning(slot, classifier, console)) if slot else None
    notes = SampleNotes(console)
    named = _named_data(data)
    names = classes.names(classifier.labels, data if named is None else named.class_names)
    if work.reproduce is not None and work.reproduce["class_names"] is not None:
        names = tuple(work.reproduce["class_names"])

    def read(path: Path) -> SampleSource:
        samples: SampleSource | None = _named_data(path)
        if samples is None:
            samples = open_data(
                path,
                classifier.image_shape,
                classes.readable(classifier.labels, names),
                notes.skip,
                notes.stretch,
            )
        return classes.select(samples, names, console.note)

    samples = read(data)
    old = read(replay) if replay else None
    if old is None and not (classifier.bundle and classifier.bundle.replay):
        console.note("no replay samples: what the model knew before may be forgotten; --replay DATA keeps it")
    with work.folder(slot or out, console) as kept:
        if work.was_saved(kept, model, out, report, console):
            return 0
        work.check_origin(classifier)
        with shown(
            console, len(samples) + (len(old) if old else 0), config.training.settings.passes, notes.remarks
        ) as listener:
            result = finetune_samples(
                classifier, samples, config=config, replay=old, class_names=names, listener=listener, work=kept
            )
        notes.tell(classifier.image_shape)
        if work.reproduce is not None:
            check_reproduced(work.reproduce, result)
        document, summary, saved = _document(result, out, notes, classifier), _summary(result, out), None
        if result.improved and is_in_place(model, out):
            announce(kept, result, out, document, summary)
        try:
            if result.improved:
                if writer is not None:
                    install_tuned(writer, result.classifier)
                else:
                    result.classifier.save(out)
                saved = str(out)
                _note_dropped(console, classifier)
                _note_forgetting(console, result)
        except EdgeCnnError:
            # One wants to look most where a slot has refused it; what went wrong first is what is told.
            with contextlib.suppress(InputError):
                _write_report(console, report, result, model, samples, data, saved)
            raise
        # What stands in OUT now is told, whatever becomes of the files that tell more of it.
        console.result(document, summary)
        work.write_log(result)
        _write_report(console, report, result, model, samples, data, saved)
    if classifier.bundle is None and "given" in classifier.preprocessing_source:
        console.note("the file cannot say so itself: give the same --input-range whenever you use it")
    result.check()
    return 0


def _document(result: FinetuneResult, out: Path, notes: SampleNotes, classifier: Classifier) -> dict[str, Any]:
    return result.to_json() | {
        "saved": result.improved,
        "out": str(out) if result.improved else None,
        "skipped": sorted(str(path) for path in notes.skipped),
        "remarks": notes.remarks,
        "left_out": _left_out(classifier),
        "classes": list(result.classifier.labels),
    }


def _write_report(
    console: Console,
    report: Path | None,
    result: FinetuneResult,
    model: Path,
    samples: SampleSource,
    data: Path,
    saved: str | None,
) -> None:
    if report is None:
        return
    from edge_cnn.verify.report.finetune_page import finetune_html

    page = finetune_html(
        result,
        model.name,
        lambda rows: read_or_blank(samples, rows),
        samples.name_of,
        data=str(data),
        saved=saved,
    )
    # Names of files may hold bytes that are no characters.
    write_atomically(report, page.encode(errors="backslashreplace"))
    console.note(f"report: {report}")


def _l2(text: str) -> float | None:
    """A number, or None for `auto`. Raises: InputError: neither."""
    if text == AUTO:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--l2 must be {AUTO} or a number, got {text!r}; leave it out to choose it by itself"
        ) from None


def _named_data(path: Path) -> SampleSource | None:
    """The training part of a data set such as `optdigits`; None where DATA is no such name."""
    from edge_cnn.host.datasets import DATASETS, load_dataset

    return load_dataset(str(path)).train if str(path) in DATASETS and not path.exists() else None


def _left_out(classifier: Classifier) -> list[str]:
    return [a.name for a in classifier.bundle.artifacts if a != classifier.artifact] if classifier.bundle else []


def _note_dropped(console: Console, classifier: Classifier) -> None:
    others = _left_out(classifier)
    if others:
        console.note(f"left out of the new bundle, as they still have the old head: {', '.join(others)}")


def _note_forgetting(console: Console, result: FinetuneResult) -> None:
    before, after = result.before.replay_accuracy, result.after.replay_accuracy
    if before is not None and after is not None and before - after > FORGOTTEN:
        console.note(
            f"the old task was partly forgotten, {100 * before:.1f} % before and {100 * after:.1f} % after; are the "
            "labels right? more --replay samples of the old task keep more of it"
        )


def _summary(result: FinetuneResult, out: Path) -> str:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    rows = [
        ["held-out new samples", percent(result.before.holdout_accuracy), percent(result.after.holdout_accuracy)],
        ["held-out old samples", percent(result.before.replay_accuracy), percent(result.after.replay_accuracy)],
    ]
    ending = f"saved {out}" if result.improved else "not saved"
    bound = result.certificate.loss_gap_bound
    # Early stopping ends far from the optimum on purpose, and a tiny L2 makes the bound useless.
    gap = f"loss at most {bound:.3g} nats above its minimum" if bound < 1 else "no useful bound on the loss"
    return (
        table(["accuracy", "before", "after"], rows)
        + f"\n{len(result.order['holdout'])} new samples were held out; {result.steps} steps (ended: {result.ended}), "
        f"{gap}; writing into the file moved no held-out logit by more than {result.certificate.max_logit_error:.3g}; "
        f"{ending}"
    )
