"""A model slot's folder: what the files in it are called, how its record is read and written, and what is swept away.

    000007-3f9a0c12d4e5b6a7.edgecnn   a version: its counter and the first digits of its SHA-256
    state-0.json, state-1.json        the record; each new one goes where the older one is, so one good always exists
    lock                              held (flock) by the one process that changes the slot

A version's file is written and synced before a record names it, and removed after no record does, so that a record
never names a file that is not there, wherever a process or the power dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.atomic_file import sync_folder, write_atomically
from edge_cnn.core.errors import SlotBusyError, SlotError
from edge_cnn.device.slots.record import SlotRecord, Version

RECORDS = ("state-0.json", "state-1.json")
LOCK = "lock"
MAX_RECORD_BYTES = 2**20

_VERSION = re.compile(r"([0-9]{6,})-[0-9a-f]{16}\.edgecnn")
_TEMPORARY = re.compile(r"\.(state-[01]-[a-z0-9_]{8}\.json|[0-9]{6,}-[0-9a-f]{16}-[a-z0-9_]{8}\.edgecnn)")
"""As `atomic_file.replacing` names them for the files above."""


@dataclass(frozen=True)
class SlotState:
    """What stands in a slot's folder.

    Attributes:
        folder: the slot.
        record: the newest good record; None in an empty slot.
        older: the record before it, if it is there and good.
        damaged: for each damaged record, its file's name and what is wrong with it.
        leftovers: names of files that only an interrupted change can have left.
        highest: largest counter in a record or in a file's name.
    """

    folder: Path
    record: SlotRecord | None
    older: SlotRecord | None
    damaged: tuple[str, ...]
    leftovers: tuple[str, ...]
    highest: int

    @property
    def needs_repair(self) -> bool:
        return bool(self.damaged or self.leftovers)


def default_slot() -> Path:
    """EDGE_CNN_SLOT, else /var/lib/edge_cnn/slot for root, else in the user's data folder (XDG Base Directory)."""
    given = os.environ.get("EDGE_CNN_SLOT")
    if given:
        return Path(given).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/edge_cnn/slot")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "edge_cnn" / "slot"


def is_slot(folder: Path) -> bool:
    """Whether something was ever installed there."""
    return any((folder / name).is_file() for name in RECORDS)


def read_state(folder: Path) -> SlotState:
    """Look at a slot without changing it; needs no lock, as each file in it is whole or not there.

    Raises:
        SlotError: it cannot be read, or a newer edge_cnn wrote it.
    """
    records: list[SlotRecord] = []
    damaged: list[str] = []
    for name in RECORDS:
        try:
            with open(folder / name, "rb") as file:
                data = file.read(MAX_RECORD_BYTES)
            records.append(SlotRecord.from_bytes(data))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SlotError(f"cannot read the slot {folder}: {error.strerror}") from error
        except ValueError as error:
            damaged.append(f"{name} is damaged: {error}")
        except SlotError as error:
            raise SlotError(f"slot {folder}: {error}") from error
    records.sort(key=lambda record: record.generation, reverse=True)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  # names are wanted, not paths
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise SlotError(f"cannot read the slot {folder}: {error.strerror}") from error
    versions = [name for name in names if _VERSION.fullmatch(name)]
    counters = [int(name.split("-")[0]) for name in versions] + [record.counter for record in records]
    named = {version.file for record in records for version in record.versions}
    if damaged and not records:
        # Which versions are wanted is not known, and their names still tell the counter.
        named.update(versions)
    return SlotState(
        folder,
        records[0] if records else None,
        records[1] if len(records) > 1 else None,
        tuple(damaged),
        tuple(name for name in names if _TEMPORARY.fullmatch(name) or (name in versions and name not in named)),
        max(counters, default=0),
    )


def write_record(folder: Path, record: SlotRecord) -> None:
    """Make `record` the slot's newest, over the older of the two. Raises: InputError: it cannot be written."""
    write_atomically(folder / RECORDS[record.generation % len(RECORDS)], record.to_bytes())


def read_version(folder: Path, version: Version) -> bytes:
    """The bytes of a version. Raises: SlotError: its file is gone, cannot be read or is not what was installed."""
    try:
        with open(folder / version.file, "rb") as file:
            # One byte more than expected tells a file that has grown.
            data = file.read(version.bytes + 1)
    except FileNotFoundError:
        raise SlotError(f"its file {version.file} is gone") from None
    except OSError as error:
        raise SlotError(f"its file {version.file} cannot be read: {error.strerror}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != version.sha256:
        raise SlotError(f"its file {version.file} has SHA-256 {sha256[:12]}..., not {version.sha256[:12]}...")
    return data


def remove_leftovers(folder: Path) -> None:
    """Remove what interrupted changes left; only the holder of the lock may. Raises: OSError, SlotError."""
    leftovers = read_state(folder).leftovers
    for name in leftovers:
        (folder / name).unlink(missing_ok=True)
    if leftovers:
        sync_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a slot's folder where there is none.

    Raises:
        SlotError: it cannot be made, or holds files that are no slot's.
    """
    try:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for place in missing:
            sync_folder(place.parent)
        names = os.listdir(folder)  # noqa: PTH208  # as above
    except OSError as error:
        raise SlotError(f"cannot make the slot {folder}: {error.strerror}; choose another folder") from error
    own = {*RECORDS, LOCK, "lost+found"}
    foreign = sorted(n for n in names if n not in own and not _TEMPORARY.fullmatch(n) and not _VERSION.fullmatch(n))
    if foreign and not is_slot(folder):
        raise SlotError(f"{folder} holds {foreign[0]!r} and is no slot; choose an empty or a new folder")


@contextlib.contextmanager
def slot_lock(folder: Path) -> Generator[None]:
    """Be the only process that changes the slot. The kernel drops the lock when its holder dies.

    Raises:
        SlotBusyError: another process holds it.
        SlotError: the folder cannot be written to.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SlotError(f"cannot change the slot {folder}: {error.strerror}; make the folder writable") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SlotBusyError(
                f"another process is changing the slot {folder}; wait for it to end, then try again"
            ) from None
        except OSError as error:
            raise SlotError(
                f"cannot lock the slot {folder}: {error.strerror}; put it on a local file system"
            ) from error
        yield
    finally:
        os.close(handle)
