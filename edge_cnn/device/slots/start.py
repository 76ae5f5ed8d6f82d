"""Starting from a slot: the active version, once it has proved itself on this machine; else the last good one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.bundle import Bundle, parse_bundle
from edge_cnn.core.errors import CheckFailedError, InputError, SlotBusyError, SlotError
from edge_cnn.device.slots.folder import (
    SlotState,
    read_state,
    read_version,
    remove_leftovers,
    slot_lock,
    write_record,
)
from edge_cnn.device.slots.record import STARTING, SlotRecord, Version

Check = Callable[[Path], None]
"""Whether a bundle file gives its golden answers on this machine. Raises: CheckFailedError or InputError where it does
not, UnavailableError where that cannot be found out here. It is passed in since replaying is the business of
`edge_cnn.verify`, one floor up."""

OnNote = Callable[[str], None]
"""Told what a person should know: an automatic return, a repaired record, a slot that cannot be written to."""

ATTEMPTS = 5
"""Reads without a lock that a busy writer may spoil, one after the other, before it looks like damage."""


@dataclass(frozen=True)
class Started:
    """What a start from a slot gives: the bundle, and which version it is."""

    bundle: Bundle
    version: Version


def start(folder: Path, check: Check, on_note: OnNote = lambda _: None) -> Started:
    """The slot's active version, ready for use.

    A version on probation is checked before it is used. Where it fails, where its last start died, and where its file
    is gone or changed, the slot returns by itself to the last good version. What an interrupted change left behind is
    swept away. A settled slot is only read, and needs no lock.

    Args:
        folder: the slot.
        check: is the version fit for use here?
        on_note: told of what happened besides.

    Raises:
        SlotError: nothing is installed there, no version in it is fit for use, or a newer edge_cnn wrote it.
        CheckFailedError: the only version fails its check.
        UnavailableError: the check cannot be made on this machine.
    """
    for _ in range(ATTEMPTS):
        state = read_state(folder)
        if state.record is None and state.leftovers:
            # The first installation was killed.
            with contextlib.suppress(SlotError), slot_lock(folder):
                sweep(folder)
        record = current_record(state)
        if not state.needs_repair and record.probation is None:
            try:
                return _opened(record.active_version, read_version(folder, record.active_version))
            except SlotError:
                if read_state(folder).record != record:
                    continue  # Switched and swept away between the two reads.
        break
    with contextlib.ExitStack() as lock:
        try:
            lock.enter_context(slot_lock(folder))
        except SlotBusyError as busy:
            record = current_record(read_state(folder))
            refuge = record.refuge() if record.probation is not None else None
            if refuge is not None:
                # What the other process may be trying is left alone: it may end whoever runs it.
                on_note(f"version {record.active} is on probation and {busy}; this start uses {refuge.counter}")
                record = record.with_rollback(refuge)
            return _settle(record, folder, check, _unrecorded, on_note)
        except SlotError as error:
            on_note(f"{error}: what this start finds out is not recorded")
            return _settle(current_record(read_state(folder)), folder, check, _unrecorded, on_note)
        record = repair(folder, on_note) or current_record(read_state(folder))
        started = _settle(record, folder, check, _recorder(folder, on_note), on_note)
        sweep(folder)
        return started


def repair(folder: Path, on_note: OnNote) -> SlotRecord | None:
    """Sweep away what interrupted changes left and replace a damaged record; the caller holds the lock.

    Returns the newest record; None where there is none that could be read.
    """
    state = read_state(folder)
    record = state.record
    try:
        if state.damaged and record is not None:
            on_note(f"{'; '.join(state.damaged)}; the record before it is used")
            # A counter that only the damaged record knew shows in the file names, and must not be given again.
            record = record.with_counter(state.highest)
            write_record(folder, record)
        remove_leftovers(folder)
    except (InputError, OSError) as error:
        on_note(f"the slot could not be tidied up: {error}")
    return record


def sweep(folder: Path) -> None:
    """Remove what no record names any more; the caller holds the lock. What stays is swept at the next start."""
    with contextlib.suppress(OSError, SlotError):
        remove_leftovers(folder)


def current_record(state: SlotState) -> SlotRecord:
    """Raises: SlotError: nothing is installed, or both records are damaged."""
    if state.record is not None:
        return state.record
    if state.damaged:
        raise SlotError(f"slot {state.folder}: {'; '.join(state.damaged)}; install a model again")
    raise SlotError(f"nothing is installed in the slot {state.folder}; run 'edge-cnn install BUNDLE' first")


def returned(record: SlotRecord, refuge: Version, reason: str, on_note: OnNote) -> SlotRecord:
    """The record after an automatic return, which `on_note` is told of."""
    on_note(f"version {record.active} is given up, back to version {refuge.counter}: {reason}")
    return record.with_return(refuge, reason)


def died_in_first_start(record: SlotRecord) -> str | None:
    """What to say of a record whose first start did not end; None for others."""
    return "its first start ended before the check was done" if record.probation == STARTING else None


def _settle(
    record: SlotRecord, folder: Path, check: Check, write: Callable[[SlotRecord], SlotRecord], on_note: OnNote
) -> Started:
    """Try the active version, return to another where it fails, and so on until one is fit. Raises: as `start`."""
    while True:
        version, refuge = record.active_version, record.refuge()
        fault = died_in_first_start(record) if refuge is not None else None
        failure: Exception | None = None
        if fault is None:
            try:
                data = read_version(folder, version)
                if record.probation is not None:
                    record = write(record.with_started())
                    try:
                        check(folder / version.file)
                    except (CheckFailedError, InputError, MemoryError):
                        raise
                    except BaseException:
                        # Nobody's answer: no runtime here, or Ctrl-C. The version is still to be tried.
                        write(record.with_trial_put_off())
                        raise
                    record = write(record.with_proof())
                return _opened(version, data)
            except (CheckFailedError, InputError, MemoryError) as error:
                fault, failure = str(error) or type(error).__name__, error
        if refuge is None:
            if record.probation is not None:
                write(record.with_trial_put_off())
            message = f"version {version.counter} is not fit for use and the slot {folder} holds no other: {fault}"
            if isinstance(failure, CheckFailedError):
                raise CheckFailedError(message) from failure
            raise SlotError(f"{message}; install a model again") from failure
        record = write(returned(record, refuge, fault or "", on_note))


def _unrecorded(record: SlotRecord) -> SlotRecord:
    return record


def _recorder(folder: Path, on_note: OnNote) -> Callable[[SlotRecord], SlotRecord]:
    def write(record: SlotRecord) -> SlotRecord:
        try:
            write_record(folder, record)
        except InputError as error:
            # A full disk must not keep a device from answering; the next start finds out the same again.
            on_note(f"what this start found out is not recorded: {error}")
        return record

    return write


def _opened(version: Version, data: bytes) -> Started:
    return Started(parse_bundle(data, version.file), version)
