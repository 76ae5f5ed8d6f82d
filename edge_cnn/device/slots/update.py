"""Changing a slot: install a bundle, or roll back; checked before the switch, and switched by one rename."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import Bundle, parse_bundle
from edge_cnn.core.errors import BundleError, SlotError
from edge_cnn.device.slots.folder import (
    make_folder,
    read_state,
    read_version,
    slot_lock,
    write_record,
)
from edge_cnn.device.slots.record import SlotRecord, Version, first_record
from edge_cnn.device.slots.start import Check, OnNote, current_record, died_in_first_start, repair, returned, sweep


@dataclass(frozen=True)
class Change:
    """What a change did.

    Attributes:
        record: of the slot afterwards.
        before: the version that was active before; None in a slot that was empty.
        changed: False where the wanted version was active already.
    """

    record: SlotRecord
    before: Version | None
    changed: bool

    @property
    def active(self) -> Version:
        return self.record.active_version


class SlotWriter:
    """The one process that changes the slot; `open_for_change` makes it.

    Attributes:
        folder: the slot.
    """

    def __init__(self, folder: Path, on_note: OnNote) -> None:
        self.folder = folder
        self._on_note = on_note

    def install(self, data: bytes, name: str, check: Check, *, force: bool = False) -> Change:
        """Add a bundle and make it the active version, on probation.

        Args:
            data: the bundle file's bytes.
            name: for messages.
            check: is it fit for use on this machine? Asked before the switch.
            force: take a tuned bundle also where its base is not in the slot.

        Raises:
            BundleError: the bundle is damaged, or tuned from a base that is not in the slot.
            CheckFailedError: it fails its check; the slot stays as it was.
            SlotError, InputError: the slot cannot be used, or the disk is full.
            UnavailableError: the check cannot be made on this machine.
        """
        bundle = parse_bundle(data, name)
        record = self._recovered()
        sha256 = hashlib.sha256(data).hexdigest()
        if record is not None and record.active_version.sha256 == sha256 and self._is_intact(record.active_version):
            return Change(record, record.active_version, changed=False)
        base = base_of(bundle)
        if base is not None and not force and not (record and record.holds_artifact(base)):
            raise BundleError(
                f"{name} was tuned from a model with SHA-256 {base[:12]}..., which is not in the slot {self.folder}; "
                "install that model first, or say --force"
            )
        version = Version(
            counter=read_state(self.folder).highest + 1,
            sha256=sha256,
            bytes=len(data),
            artifacts=tuple(artifact.sha256 for artifact in bundle.artifacts),
            base_sha256=base,
            replaced=None if record is None else _in_use(record),
        )
        try:
            # First the file and then the check, so that what is checked is what will run.
            write_atomically(self.folder / version.file, data)
            check(self.folder / version.file)
            after = record.with_installed(version) if record else first_record(version)
            write_record(self.folder, after)
        finally:
            # Where the switch did not come to pass, this takes the version's file away again.
            sweep(self.folder)
        return Change(after, record.active_version if record else None, changed=True)

    def roll_back(self, check: Check, to: int | None = None) -> Change:
        """Make an earlier version active.

        Args:
            check: is it still fit for use on this machine? Asked before the switch.
            to: counter of the version; by default the good one that was in use before the active one.

        Raises:
            SlotError: there is no such version, or its file is gone or changed.
            CheckFailedError: it fails its check; the slot stays as it was.
            InputError: the disk is full.
            UnavailableError: the check cannot be made on this machine.
        """
        record = self._recovered()
        if record is None:
            record = current_record(read_state(self.folder))
        target = record.previous() if to is None else record.version(to)
        if target is None:
            raise SlotError(
                f"the slot {self.folder} holds no good version before {record.active}; install one, or choose one "
                "that 'edge-cnn status' lists with --to"
            )
        if target.counter == record.active:
            return Change(record, target, changed=False)
        try:
            read_version(self.folder, target)
        except SlotError as error:
            raise SlotError(f"cannot go back to version {target.counter}: {error}; choose another with --to") from error
        check(self.folder / target.file)
        after = record.with_rollback(target)
        write_record(self.folder, after)
        sweep(self.folder)
        return Change(after, record.active_version, changed=True)

    def _recovered(self) -> SlotRecord | None:
        """The record, tidied up; a version whose first start died is given up first."""
        record = repair(self.folder, self._on_note)
        if record is None:
            return None
        fault, refuge = died_in_first_start(record), record.refuge()
        if fault is not None and refuge is not None:
            record = returned(record, refuge, fault, self._on_note)
            write_record(self.folder, record)
        return record

    def _is_intact(self, version: Version) -> bool:
        try:
            read_version(self.folder, version)
        except SlotError:
            return False
        return True


@contextlib.contextmanager
def open_for_change(folder: Path, on_note: OnNote = lambda _: None, *, create: bool = False) -> Generator[SlotWriter]:
    """Be the only process that changes the slot, until the end of the block.

    Args:
        folder: the slot.
        on_note: told of repairs and of automatic returns.
        create: make the folder where there is none.

    Raises:
        SlotBusyError: another process changes it.
        SlotError: nothing is installed there, a newer edge_cnn wrote it, or it cannot be written to.
    """
    if create:
        make_folder(folder)
    else:
        current_record(read_state(folder))
    with slot_lock(folder):
        yield SlotWriter(folder, on_note)


def base_of(bundle: Bundle) -> str | None:
    """SHA-256 of the artifact that a tuned bundle was made from; None for a base. Raises: BundleError: no hash."""
    tuned = bundle.manifest.provenance.get("finetuned")
    if tuned is None:
        return None
    base = tuned.get("base_sha256") if isinstance(tuned, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON
    if not isinstance(base, str):
        raise BundleError("the manifest says that the bundle is tuned, but not from what; tune it again")
    return base


def _in_use(record: SlotRecord) -> int | None:
    """Counter of the version that a new one replaces: one that never started was not in use."""
    return record.active if record.probation is None else record.last_good
