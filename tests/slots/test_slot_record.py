import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_cnn.device.slots.record import KEPT, SlotRecord, Version, first_record

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("install"), st.booleans()),
        st.sampled_from([("start",), ("prove",), ("fail",), ("rollback",), ("put off",)]),
    ),
    max_size=40,
)


def version(counter, base=None, replaced=None):
    digest = hashlib.sha256(str(counter).encode()).hexdigest()
    return Version(counter, digest, 10, (digest,), base, replaced)


def after(record, step):
    """The record after a step, as the modules that use it take it."""
    kind, *rest = step
    if kind == "install":
        base = record.active_version.artifacts[0] if rest[0] else None
        return record.with_installed(version(record.counter + 1, base, record.active))
    if kind == "rollback":
        target = record.previous()
        return record if target is None else record.with_rollback(target)
    if record.probation is None:
        return record
    if kind == "fail":
        refuge = record.refuge()
        return record if refuge is None else record.with_return(refuge, "it failed")
    return {"start": record.with_started, "prove": record.with_proof, "put off": record.with_trial_put_off}[kind]()


@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_the_record_stays_sound(steps):
    record = first_record(version(1))
    for step in steps:
        before, record = record, after(record, step)
        assert SlotRecord.from_bytes(record.to_bytes()) == record
        assert record.counter >= before.counter
        assert record.generation == before.generation + (record != before)
        assert record.active_version.fault is None
        # A slot that had a good version can always go back to one.
        if before.last_good is not None:
            assert record.last_good is not None
            assert record.version(record.last_good).good
        if record.probation is not None and record.last_good is not None:
            assert record.refuge().counter == record.last_good
        # New, active and last good one, newest base, parent, and the good ones within reach.
        assert sum(v.fault is None for v in record.versions) <= 5 + KEPT


@settings(deadline=None)
@given(STEPS)
def test_a_proof_settles_the_record(steps):
    record = first_record(version(1))
    for step in steps:
        record = after(record, step)
    proved = record.with_proof()
    assert (proved.probation, proved.last_good, proved.active_version.good) == (None, record.active, True)


@pytest.mark.parametrize(
    "change",
    [
        {"active": 9},
        {"counter": 0},
        {"probation": "sometimes"},
        {"versions": ()},
        {"versions": (version(1), version(1))},
        {"generation": "1"},
    ],
)
def test_a_record_that_contradicts_itself_is_damaged_whatever_its_checksum(change):
    from dataclasses import replace

    with pytest.raises(ValueError, match=r"contradict|no record"):
        SlotRecord.from_bytes(replace(first_record(version(1)), **change).to_bytes())


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"checksum": "", "schema_version": "x"}', b"[" * 10**5]
)
def test_what_is_no_record_is_damaged(data):
    with pytest.raises(ValueError):  # noqa: PT011  # any wording
        SlotRecord.from_bytes(data)
