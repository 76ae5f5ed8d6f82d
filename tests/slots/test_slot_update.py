import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_cnn.core.errors import BundleError, RuntimeUnavailableError, SlotBusyError, SlotError, ToleranceError
from edge_cnn.device.slots.folder import read_state
from edge_cnn.device.slots.record import INSTALLED, KEPT
from edge_cnn.device.slots.update import open_for_change


def record_of(slot):
    return read_state(slot.folder).record


def test_an_installed_version_is_on_probation_until_its_first_start(slot):
    slot.install("one")
    assert record_of(slot).probation == INSTALLED
    assert slot.answer() == "one"
    assert record_of(slot).probation is None
    assert record_of(slot).last_good == 1
    assert slot.notes == []


def test_the_check_sees_the_very_file_that_will_run_and_the_slot_before_the_switch(slot):
    slot.install("one")
    slot.start()
    seen = []
    slot.install("two", check=lambda path: seen.append((path.parent, path.name, record_of(slot).active)))
    assert seen == [(slot.folder, record_of(slot).active_version.file, 1)]


def test_a_bundle_that_fails_its_check_changes_nothing(slot):
    slot.install("one")
    slot.start()
    before = {name: (slot.folder / name).read_bytes() for name in slot.names()}
    with pytest.raises(ToleranceError, match="golden answers are wrong"):
        slot.install("bad")
    assert {name: (slot.folder / name).read_bytes() for name in slot.names()} == before


def test_a_bundle_that_cannot_be_checked_here_changes_nothing(slot):
    def no_runtime(_):
        raise RuntimeUnavailableError("no runtime here")

    with pytest.raises(RuntimeUnavailableError):
        slot.install("one", check=no_runtime)
    assert slot.names() == ["lock"]


def test_counters_only_rise_whatever_is_active(slot):
    for answer in ("one", "two", "three"):
        slot.install(answer)
        slot.start()
    slot.roll_back(to=1)
    assert record_of(slot).active == 1
    assert record_of(slot).counter == 3
    assert slot.install("four").active.counter == 4


def test_file_times_that_go_backwards_do_not_matter(slot):
    for answer in ("one", "two", "three"):
        slot.install(answer)
        slot.start()
        for age, name in enumerate(slot.names()):
            os.utime(slot.folder / name, (10_000 - 1000 * record_of(slot).counter - age,) * 2)
    assert slot.answer() == "three"
    assert slot.roll_back().active.counter == 2
    assert slot.answer() == "two"


def test_rollback_goes_back_along_what_was_in_use(slot):
    for answer in ("one", "two", "three"):
        slot.install(answer)
        slot.start()
    slot.roll_back(to=1)
    slot.install("four")
    slot.start()
    # What four replaced is one, although three has the higher counter.
    assert slot.roll_back().active.counter == 1
    with pytest.raises(SlotError, match="no good version before 1"):
        slot.roll_back()


def test_rollback_of_a_version_on_probation_goes_to_the_last_good_one(slot):
    slot.install("one")
    slot.start()
    slot.install("two")
    assert slot.roll_back().active.counter == 1
    assert record_of(slot).probation is None


def test_rollback_checks_what_it_goes_back_to_and_else_stays(slot):
    def refuse(_):
        raise ToleranceError("another runtime, other answers")

    for answer in ("one", "two"):
        slot.install(answer)
        slot.start()
    with pytest.raises(ToleranceError):
        slot.roll_back(check=refuse)
    assert slot.answer() == "two"
    (slot.folder / record_of(slot).version(1).file).unlink()
    with pytest.raises(SlotError, match=r"cannot go back to version 1: its file .* is gone"):
        slot.roll_back()
    assert slot.answer() == "two"


def test_rollback_to_an_unknown_version_names_the_known_ones(slot):
    slot.install("one")
    with pytest.raises(SlotError, match="no version 7; it has 1"):
        slot.roll_back(to=7)


def test_the_same_bundle_twice_is_one_version(slot):
    assert slot.install("one").changed
    assert not slot.install("one").changed
    assert record_of(slot).counter == 1


def test_a_tuned_bundle_needs_its_base_in_the_slot(slot):
    slot.install("one")
    with pytest.raises(BundleError, match=r"not in the slot .*; install that model first, or say --force"):
        slot.install("tuned", base="other")
    tuned = slot.install("tuned", base="one").active
    assert (tuned.kind, tuned.base_sha256) == ("tuned", record_of(slot).version(1).artifacts[0])
    assert slot.install("foreign", base="other", force=True).active.kind == "tuned"


def test_old_versions_go_but_the_base_and_the_last_good_ones_stay(slot):
    slot.install("base")
    slot.start()
    for number in range(2, 12):
        slot.install(f"tuned {number}", base="base")
        slot.start()
    counters = [version.counter for version in record_of(slot).versions]
    assert counters == [1, *range(11 - KEPT, 12)]
    files = [name for name in slot.names() if name.endswith(".edgecnn")]
    assert [int(name.split("-")[0]) for name in files] == counters


def test_a_second_process_is_told_that_the_slot_is_in_use(slot):
    slot.install("one")
    slot.start()
    code = (
        "import sys, pathlib\n"
        "from edge_cnn.device.slots.update import open_for_change\n"
        "with open_for_change(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(slot.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SlotBusyError, match="another process is changing the slot") as told:
            slot.install("two")
        assert told.value.exit_status == 2
        # Readers go on.
        assert slot.answer() == "one"
        assert slot.notes == []
        holder.kill()
    # The kernel drops a dead process's lock.
    assert slot.install("two").changed


def test_a_start_beside_a_busy_writer_leaves_a_version_on_probation_alone(slot):
    slot.install("one")
    slot.start()
    slot.install("two")
    with open_for_change(slot.folder):
        assert slot.answer(check=lambda _: pytest.fail("the writer may be trying it")) == "one"
    assert "version 2 is on probation" in slot.notes[0]
    assert record_of(slot).probation == INSTALLED
    assert slot.answer() == "two"


def test_a_folder_with_other_files_is_not_taken_for_a_slot(slot):
    slot.folder.mkdir()
    (slot.folder / "thesis.tex").write_text("")
    with pytest.raises(SlotError, match=r"holds 'thesis.tex' and is no slot"):
        slot.install("one")
    assert slot.names() == ["thesis.tex"]


def test_a_slot_that_was_never_installed_into_says_so(slot):
    for use in (slot.start, slot.roll_back):
        with pytest.raises(SlotError, match="nothing is installed in the slot"):
            use()
    assert not slot.folder.exists()


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="reads the names of open files in /proc: run it on Linux"
)
def test_each_step_is_synced_before_the_one_that_relies_on_it(slot, monkeypatch):
    slot.install("one")
    slot.start()
    events = []
    fsync, replace = os.fsync, os.replace

    def kind_of(path):
        kinds = {"state": "record", "0000": "version", slot.folder.name: "folder"}
        return next(kind for start, kind in kinds.items() if Path(path).name.lstrip(".").startswith(start))

    def told_fsync(handle):
        events.append(("sync", kind_of(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def told_replace(source, target, **options):
        events.append(("rename", kind_of(target)))
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(os, "replace", told_replace)
    slot.install("two")
    steps = [("sync", None), ("rename", None), ("sync", "folder")]
    assert events == [(verb, what or kind) for kind in ("version", "record") for verb, what in steps]
