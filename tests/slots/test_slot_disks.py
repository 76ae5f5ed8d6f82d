"""Disks that are full or read-only, in processes of their own where the limit is one of the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edge_cnn.core.errors import InputError, SlotError
from edge_cnn.device.slots.folder import read_state
from tests.unmeasured import unmeasured

INSTALL = """
import pathlib, resource, sys
from edge_cnn.core.errors import EdgeCnnError
from edge_cnn.device.slots.update import open_for_change
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    with open_for_change(pathlib.Path(sys.argv[1]), create=True) as writer:
        writer.install(pathlib.Path(sys.argv[2]).read_bytes(), "new.edgecnn", lambda path: None)
except EdgeCnnError as error:
    sys.exit(f"{error.exit_status} {error}")
"""


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system in memory with the given options; root only."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounts a file system: run it on Linux with sudo .venv/bin/python -m pytest tests/slots")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "edge-cnn", str(place)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no mounts here ({done.stderr.strip()}): run with --cap-add=SYS_ADMIN in a container")
        return place

    yield mount
    subprocess.run(["umount", str(place)], check=False, capture_output=True)


@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_a_limit_on_file_sizes_leaves_the_slot_as_it_was(slot, tmp_path, limit):
    slot.install("one")
    slot.start()
    before = slot.names()
    (tmp_path / "two.edgecnn").write_bytes(slot.bundle("two"))
    done = subprocess.run(
        [sys.executable, "-c", INSTALL, str(slot.folder), str(tmp_path / "two.edgecnn"), str(limit)],
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("2 cannot write ")
    assert "File too large" in done.stderr
    assert slot.names() == before
    assert slot.answer() == "one"
    assert slot.notes == []


@pytest.mark.parametrize("room", range(0, 24, 4))
def test_a_disk_that_fills_up_leaves_the_slot_as_it_was(mounted, slot_at, room):
    disk = mounted("size=96k")
    slot = slot_at(disk / "slot")
    slot.install("one")
    slot.start()
    before = slot.names()
    # All but a few pages of 4 KiB are taken; a bundle and a record need one each.
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - 1024 * room))
    if room < 8:
        with pytest.raises(InputError, match="No space left on device"):
            slot.install("two")
        assert slot.names() == before
        assert slot.answer() == "one"
    else:
        slot.install("two")
        assert slot.answer() == "two"
    (disk / "filler").unlink()
    slot.notes.clear()
    slot.install("three")
    assert slot.answer() == "three"
    assert slot.notes == []


def test_a_slot_on_a_read_only_disk_answers_and_cannot_be_changed(mounted, slot_at):
    disk = mounted("size=1m")
    slot = slot_at(disk / "slot")
    slot.install("one")
    slot.start()
    slot.install("two")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert slot.answer() == "two"
    assert "Read-only file system" in slot.notes[0]
    assert "not recorded" in slot.notes[0]
    for use in (lambda: slot.install("three"), slot.roll_back):
        with pytest.raises(
            SlotError, match=r"cannot change the slot .*Read-only file system; make the folder writable"
        ):
            use()
    assert read_state(slot.folder).record.active == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run it as an ordinary user")
def test_a_folder_of_somebody_else_answers_and_cannot_be_changed(slot):
    slot.install("one")
    (slot.folder / "lock").chmod(0o444)
    slot.folder.chmod(0o555)
    try:
        assert slot.answer() == "one"
        assert "Permission denied" in slot.notes[0]
        with pytest.raises(SlotError, match="Permission denied"):
            slot.install("two")
    finally:
        slot.folder.chmod(0o755)


def test_a_folder_that_cannot_be_made_is_one_clear_error(slot, tmp_path):
    (tmp_path / "slot").write_text("a file")
    with pytest.raises(SlotError, match=r"cannot make the slot .*; choose another folder"):
        slot.install("one")
