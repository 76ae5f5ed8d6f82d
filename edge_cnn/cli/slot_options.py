"""How commands name a slot: --slot DIR; or its folder, or `slot:` for the default one, in the place of a MODEL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_cnn.cli.console import PATH
from edge_cnn.cli.model_options import DEFAULT_SLOT
from edge_cnn.device.slots.folder import default_slot, is_slot, read_state
from edge_cnn.device.slots.record import Version
from edge_cnn.device.slots.start import current_record

SLOT = click.option(
    "--slot",
    type=PATH,
    default=default_slot,
    metavar="DIR",
    help="The slot's folder; default: EDGE_CNN_SLOT, /var/lib/edge_cnn/slot for root, else in your data folder.",
)


def slot_folder(path: Path) -> Path | None:
    """The slot that a MODEL or an output names; None where it is a file.

    Raises:
        SlotError: it is the default slot, and nothing is installed there.
    """
    if str(path) == DEFAULT_SLOT:
        current_record(read_state(default_slot()))
        return default_slot()
    return path if path.is_dir() and is_slot(path) else None


class SlotOrFile(click.Path):
    """A file; the folder of a slot stands for the file of its active version."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        folder = slot_folder(path)
        return path if folder is None else folder / current_record(read_state(folder)).active_version.file


def version_json(version: Version) -> dict[str, Any]:
    """What the three slot commands tell of a version."""
    return {
        "counter": version.counter,
        "kind": version.kind,
        "sha256": version.sha256,
        "file": version.file,
        "bytes": version.bytes,
        "base_sha256": version.base_sha256,
        "good": version.good,
        "fault": version.fault,
    }
