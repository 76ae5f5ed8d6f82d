import json
import shutil

import pytest

from edge_cnn.core.errors import CheckFailedError, RuntimeUnavailableError, SlotError, ToleranceError
from edge_cnn.device.slots.folder import RECORDS, read_state, write_record
from edge_cnn.device.slots.record import INSTALLED, STARTING, SlotRecord, _checksum
from edge_cnn.device.slots.start import start


@pytest.fixture
def two(slot):
    """A slot with one that is good and two on probation."""
    slot.install("one")
    slot.start()
    slot.install("two")
    return slot


def record_of(slot):
    return read_state(slot.folder).record


def newest(slot):
    return slot.folder / RECORDS[record_of(slot).generation % 2]


def refuse_two(path):
    if path.name.startswith("000002"):
        raise ToleranceError("3 LSB where 1 is allowed")


def test_a_version_that_fails_its_first_start_is_left_for_the_last_good_one(two):
    assert two.answer(refuse_two) == "one"
    assert two.notes == ["version 2 is given up, back to version 1: 3 LSB where 1 is allowed"]
    record = record_of(two)
    assert (record.active, record.last_good, record.probation) == (1, 1, None)
    assert record.last_return.reason == "3 LSB where 1 is allowed"
    assert record.version(2).fault == "3 LSB where 1 is allowed"
    # For good: the next start does not try it again.
    assert two.answer() == "one"


def test_a_start_that_died_is_taken_for_the_version_s_fault(two):
    write_record(two.folder, record_of(two).with_started())
    assert two.answer() == "one"
    assert "its first start ended before the check was done" in two.notes[0]


def test_a_version_that_was_given_up_can_be_tried_again_by_name(two):
    two.answer(refuse_two)
    change = two.roll_back(to=2)
    assert (change.active.counter, change.record.probation) == (2, INSTALLED)
    assert two.answer() == "two"
    assert record_of(two).version(2).good


@pytest.mark.parametrize("nobody", [KeyboardInterrupt, RuntimeUnavailableError])
def test_a_trial_that_nobody_failed_is_made_again(two, nobody):
    def interrupted(_):
        assert record_of(two).probation == STARTING
        raise nobody("not now")

    with pytest.raises(nobody):
        two.start(interrupted)
    assert record_of(two).probation == INSTALLED
    assert two.answer() == "two"


def test_the_only_version_is_tried_again_after_a_start_that_died(slot):
    slot.install("one")
    write_record(slot.folder, record_of(slot).with_started())
    assert slot.answer() == "one"


def test_when_the_only_version_fails_the_error_says_so(slot):
    def refuse(_):
        raise ToleranceError("all wrong")

    slot.install("one")
    with pytest.raises(CheckFailedError, match=r"version 1 is not fit .* holds no other: all wrong"):
        slot.start(refuse)
    assert slot.answer() == "one"


@pytest.mark.parametrize("damage", ["gone", "changed", "cut", "longer"])
def test_a_version_file_that_is_gone_or_changed_is_left_for_the_last_good_one(two, damage):
    two.start()
    file = two.folder / record_of(two).active_version.file
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        # The last byte belongs to the archive's comment length: only the hash of the whole file can tell.
        file.write_bytes({"changed": data[:-1] + b"\1", "cut": data[:-9], "longer": data + b"\0"}[damage])
    assert two.answer() == "one"
    assert "back to version 1: its file" in two.notes[0]
    assert record_of(two).active == 1


def test_when_every_file_is_damaged_the_error_says_what_to_do(two):
    for version in record_of(two).versions:
        (two.folder / version.file).write_bytes(b"")
    with pytest.raises(SlotError, match=r"holds no other: .*; install a model again"):
        two.start()


def test_one_damaged_record_costs_nothing_but_the_last_step(two):
    two.start()
    newest(two).write_bytes(newest(two).read_bytes()[:-40])
    assert two.answer() in ("one", "two")
    assert "is damaged" in two.notes[0]
    state = read_state(two.folder)
    assert (state.damaged, state.leftovers) == ((), ())
    assert state.record.counter == 2
    two.notes.clear()
    assert two.answer() in ("one", "two")
    assert two.notes == []


def test_every_flipped_bit_of_a_record_is_found(slot):
    slot.install("one")
    slot.start()
    data = newest(slot).read_bytes()
    for position in range(0, len(data) - 1, 7):
        for bit in (1, 64):
            spoilt = bytearray(data)
            spoilt[position] ^= bit
            try:
                # White space between the fields means nothing.
                same = SlotRecord.from_bytes(bytes(spoilt)) == SlotRecord.from_bytes(data)
            except (ValueError, SlotError):
                continue
            assert same, position


def test_a_counter_that_only_a_damaged_record_knew_is_not_given_again(two):
    newest(two).write_text("{}")
    two.start()
    assert two.install("three").active.counter == 3


def test_two_damaged_records_are_an_error_and_an_installation_mends_it(two):
    for name in RECORDS:
        (two.folder / name).write_text("?")
    with pytest.raises(SlotError, match=r"state-0.json is damaged.*state-1.json is damaged.*install a model again"):
        two.start()
    assert two.install("three").active.counter == 3
    assert two.answer() == "three"


def test_a_slot_of_a_newer_version_is_left_alone(two):
    value = json.loads(newest(two).read_bytes())
    del value["checksum"]
    newer = value | {"schema_version": 2, "something": "else"}
    newest(two).write_text(json.dumps(newer | {"checksum": _checksum(newer)}))
    before = {name: (two.folder / name).read_bytes() for name in two.names()}
    for use in (two.start, two.roll_back, lambda: two.install("three")):
        with pytest.raises(SlotError, match=r"schema version 2, this one reads up to 1.*update edge_cnn") as told:
            use()
        assert told.value.exit_status == 2
    assert {name: (two.folder / name).read_bytes() for name in two.names()} == before


def test_a_start_sweeps_away_what_is_ours_and_nothing_else(two):
    two.start()
    ours = [".state-0-ab12_xyz.json", ".000003-0123456789abcdef-ab12_xyz.edgecnn", "000003-0123456789abcdef.edgecnn"]
    others = [".state-0-short.json", "notes.txt", "000003.edgecnn", ".000003-0123456789abcdef-ab12_xyz.edgecnn.bak"]
    for name in ours + others:
        (two.folder / name).write_text("left")
    assert two.answer() == "two"
    left = set(two.names())
    assert left.isdisjoint(ours)
    assert left.issuperset(others)


def test_a_settled_slot_is_only_read(two):
    two.start()
    before = {name: (two.folder / name).stat() for name in two.names()}
    assert two.answer(check=lambda _: pytest.fail("it has proved itself")) == "two"
    assert {name: (two.folder / name).stat().st_mtime_ns for name in two.names()} == {
        name: stat.st_mtime_ns for name, stat in before.items()
    }


def test_a_record_that_points_outside_the_slot_is_refused(slot):
    slot.install("one")
    value = json.loads(newest(slot).read_bytes())
    del value["checksum"]
    value["versions"][0]["sha256"] = "../../../../etc/pas" + "0" * 45
    newest(slot).write_text(json.dumps(value | {"checksum": _checksum(value)}))
    with pytest.raises(SlotError, match="is damaged"):
        slot.start()


def test_a_disk_that_is_full_does_not_keep_the_device_from_answering(two, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_cnn.core.atomic_file.os.fsync", full)
    assert two.answer() == "two"
    told = [note for note in two.notes if note.startswith("what this start found out is not recorded: cannot write ")]
    assert any("No space left on device" in note for note in told)
    assert two.answer(refuse_two) == "one"
    monkeypatch.undo()
    assert two.answer() == "two"
    assert record_of(two).probation is None


def test_a_copied_slot_is_the_same_slot(two, tmp_path):
    shutil.copytree(two.folder, tmp_path / "copy")
    assert start(tmp_path / "copy", lambda _: None).version.counter == 2
