"""How `finetune` commits into a slot: it holds the slot from the start, and installs what it has made."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from edge_cnn.cli.console import Console
from edge_cnn.core.errors import InputError, SlotError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.slots.folder import read_state
from edge_cnn.device.slots.start import current_record
from edge_cnn.device.slots.update import SlotWriter, open_for_change
from edge_cnn.verify.slot_check import check_here


@contextlib.contextmanager
def slot_for_tuning(slot: Path, classifier: Classifier, console: Console) -> Generator[SlotWriter]:
    """Hold `slot` while `classifier` is tuned.

    Raises:
        SlotBusyError: another process tunes or changes it.
        SlotError: it cannot be written to, or does not hold what is tuned.
        InputError: the classifier is a bare file, and a slot holds bundles.
    """
    if classifier.bundle is None:
        raise InputError(
            f"{classifier.artifact.name} is a bare model file, and a slot holds bundles, as they carry the golden "
            "samples that a version is checked with; tune a .edgecnn bundle or the slot itself"
        )
    with open_for_change(slot, console.note) as writer:
        # Before the work, not after it.
        if not current_record(read_state(slot)).holds_artifact(classifier.artifact.sha256):
            raise SlotError(
                f"{classifier.artifact.name} is not in the slot {slot}, and what is tuned from it cannot be installed "
                "there; install it first, or tune the slot itself"
            )
        yield writer


def install_tuned(writer: SlotWriter, tuned: Classifier) -> None:
    """Make a tuned classifier's bundle the slot's active version. Raises: as `SlotWriter.install`."""
    assert tuned.bundle is not None, "slot_for_tuning has made sure"
    writer.install(tuned.bundle.to_bytes(), f"the tuned {tuned.artifact.name}", check_here)
