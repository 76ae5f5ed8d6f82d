"""`edge-cnn run`: predictions for images, folders, `.npz` files or a stream of file names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edge_cnn.cli.console import Console, common_options
from edge_cnn.cli.model_options import model_options
from edge_cnn.core.errors import DataError
from edge_cnn.device.classifier import Classifier, Predictions
from edge_cnn.device.image_files import check_images, load_npz, read_image, read_npz
from edge_cnn.device.image_folder import class_of, list_images

BATCH = 32
STREAM = "-"


@dataclass
class Tally:
    """What went by so far."""

    predicted: int = 0
    right: int = 0
    labelled: int = 0
    skipped: list[str] = field(default_factory=list[str])


@click.command("run")
@common_options
@model_options
@click.argument("inputs", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="How many classes to show.")
def command(
    console: Console, model: Path, open_model: Callable[[], Classifier], inputs: tuple[str, ...], top: int
) -> None:
    """Predict INPUTS with MODEL.

    An input is an image, a folder (its sub-folders may be named by class), an .npz with x (and y), or - for image file
    names on standard input, one a line, answered at once.
    """
    del model
    classifier = open_model()
    tally = Tally()
    for name in inputs:
        if name == STREAM:
            _run_stream(console, classifier, top, tally)
        elif Path(name).suffix.lower() == ".npz":
            _run_npz(console, classifier, Path(name), top, tally)
        elif Path(name).is_dir():
            _run_folder(console, classifier, Path(name), top, tally)
        else:
            # A single named file that cannot be read is an error of the call, not one bad file among many.
            _predict(console, classifier, [name], read_image(Path(name), _shape(classifier))[None], top, tally)
    if tally.skipped:
        console.note(f"skipped {len(tally.skipped)} unreadable images, predicted {tally.predicted}")
    if tally.labelled:
        accuracy = tally.right / tally.labelled
        console.line(
            {"accuracy": accuracy, "count": tally.labelled},
            f"accuracy {100 * accuracy:.2f} % ({tally.right} of {tally.labelled})",
        )
    if tally.predicted == 0 and tally.skipped:
        raise DataError(f"none of the {len(tally.skipped)} images could be read; the first: {tally.skipped[0]}")


def _run_stream(console: Console, classifier: Classifier, top: int, tally: Tally) -> None:
    for line in sys.stdin:
        name = line.rstrip("\r\n")
        if name:
            _run_files(console, classifier, [Path(name)], top, tally)


def _run_folder(console: Console, classifier: Classifier, folder: Path, top: int, tally: Tally) -> None:
    files = list_images(folder)
    if not files:
        raise DataError(f"{folder} holds no images; give a folder with .png, .jpg, ... files")
    classes = [class_of(folder, path) for path in files]
    known = [name for name in classes if name in classifier.labels]
    truth = known if len(known) == len(files) else None
    _run_files(console, classifier, files, top, tally, truth)


def _run_files(
    console: Console,
    classifier: Classifier,
    files: list[Path],
    top: int,
    tally: Tally,
    truth: list[str] | None = None,
) -> None:
    for start in range(0, len(files), BATCH):
        names: list[str] = []
        images: list[NDArray[np.uint8]] = []
        labels: list[str] = []
        for row in range(start, min(start + BATCH, len(files))):
            try:
                images.append(read_image(files[row], _shape(classifier)))
            except DataError as error:
                tally.skipped.append(str(error))
                console.note(f"skipped: {error}")
                continue
            names.append(str(files[row]))
            labels += [truth[row]] if truth else []
        if images:
            predictions = _predict(console, classifier, names, np.stack(images), top, tally)
            tally.labelled += len(labels)
            tally.right += sum(a == b for a, b in zip(predictions.labels, labels, strict=False))


def _run_npz(console: Console, classifier: Classifier, path: Path, top: int, tally: Tally) -> None:
    arrays = load_npz(path)
    truth: NDArray[np.int64] | None = None
    if "y" in arrays:
        data = read_npz(path, classifier.image_shape, classifier.labels)
        images, truth = data.images, data.labels
    elif "x" in arrays:
        images = check_images(arrays["x"], str(path), classifier.image_shape)
    else:
        raise DataError(f"{path} holds {sorted(arrays)}, not x; save it with numpy.savez(file, x=...)")
    for start in range(0, len(images), BATCH):
        chunk = images[start : start + BATCH]
        names = [f"{path}[{start + i}]" for i in range(len(chunk))]
        predictions = _predict(console, classifier, names, chunk, top, tally)
        if truth is not None:
            tally.labelled += len(chunk)
            tally.right += int((predictions.indices == truth[start : start + BATCH]).sum())


def _shape(classifier: Classifier) -> tuple[int, int, int]:
    if classifier.image_shape is None:
        raise DataError(
            f"{classifier.artifact.name} takes no images but inputs of shape {classifier.runtime.inputs[0].shape}; "
            "give them as float x in an .npz"
        )
    return classifier.image_shape


def _predict(
    console: Console, classifier: Classifier, names: Iterable[str], images: NDArray[Any], top: int, tally: Tally
) -> Predictions:
    predictions = classifier.predict(images)
    for name, best in zip(names, predictions.top(top), strict=True):
        console.line(
            {"input": name, "labels": [label for label, _ in best], "scores": [score for _, score in best]},
            f"{name}  " + "  ".join(f"{label} {100 * score:.1f} %" for label, score in best),
        )
    tally.predicted += len(images)
    return predictions
