"""`edge-cnn data`: lists the data sets, or saves one as `.npz`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from edge_cnn.cli.console import PATH, Console, common_options, table
from edge_cnn.cli.output_path import check_file
from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.datasets import Dataset, DatasetEntry


@click.command()
@click.argument("name", required=False)
@click.option(
    "--out", type=PATH, metavar="FILE.npz", help="Save NAME as x (pixels or model inputs), y (classes), labels (names)."
)
@click.option("--part", type=click.Choice(["train", "test", "all"]), default="all", show_default=True)
@common_options
def command(console: Console, name: str | None, out: Path | None, part: str) -> int:
    """List the data sets, or the data set NAME, or save it as an .npz file."""
    from edge_cnn.host.datasets import DATASETS, find_entry

    if name is None and out is not None:
        raise InputError(f"--out {out}: which data set? give its name before it; known: {', '.join(DATASETS)}")
    entries = list(DATASETS.values()) if name is None else [find_entry(name)]
    if name is None or out is None:
        console.result({"datasets": [_document(entry) for entry in entries]}, _listing(entries))
        return 0
    _save(console, name, out, part)
    return 0


def _save(console: Console, name: str, out: Path, part: str) -> None:
    from edge_cnn.core.atomic_file import write_atomically
    from edge_cnn.core.npz import pack_npz
    from edge_cnn.host.datasets import load_dataset

    check_file(out, [".npz"])
    samples = _part(load_dataset(name), part)
    arrays: dict[str, Any] = {"x": samples.images, "y": samples.labels, "labels": np.array(samples.class_names)}
    data = pack_npz(arrays)
    write_atomically(out, data)
    document = {
        "name": name,
        "part": part,
        "out": str(out),
        "samples": len(samples),
        "bytes": len(data),
        "fingerprint": samples.fingerprint(),
    }
    console.result(
        document, f"wrote {out}: {len(samples)} samples, x {samples.images.shape} {samples.images.dtype}, y, labels"
    )


def _part(dataset: Dataset, part: str) -> LabelledImages:
    from edge_cnn.core.labelled_images import LabelledImages

    if part != "all":
        return dataset.train if part == "train" else dataset.test
    train, test = dataset.train, dataset.test
    return LabelledImages(
        np.concatenate([train.images, test.images]), np.concatenate([train.labels, test.labels]), train.class_names
    )


def _document(entry: DatasetEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "summary": entry.summary,
        "image_shape": list(entry.image_shape),
        "classes": entry.classes,
        "train_samples": entry.train_samples,
        "test_samples": entry.test_samples,
        "present": entry.is_present(),
        "source": entry.source,
        "licence": entry.licence,
        "obtain": entry.obtain,
        "recipe": asdict(entry.recipe),
    }


def _listing(entries: list[DatasetEntry]) -> str:
    rows = [
        [
            entry.name,
            str(entry.train_samples),
            str(entry.test_samples),
            "x".join(map(str, entry.image_shape)),
            str(entry.classes),
            "yes" if entry.is_present() else "no",
            entry.summary,
        ]
        for entry in entries
    ]
    header = ["name", "train", "test", "image", "classes", "present", "what"]
    notes = [f"{entry.name}: {entry.source}\n  licence: {entry.licence}{_hint(entry)}" for entry in entries]
    return "\n".join([table(header, rows), "", *notes])


def _hint(entry: DatasetEntry) -> str:
    return "" if entry.is_present() else f"\n  not here: {entry.obtain}"
