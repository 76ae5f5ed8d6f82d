"""What a model slot remembers: its versions, which one is active, and whether that one has proved itself here.

The record is a value; each method gives the record after one step, and writing it is what makes the step happen. Order
comes from counters alone, never from a clock.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_cnn.core.errors import SlotError

SCHEMA_VERSION = 1

INSTALLED, STARTING = "installed", "starting"
"""Probation of the active version: not started yet, or a start that has not come to its end."""

KEPT = 4
"""Good versions that stay within reach of a rollback, besides those that are needed."""


@dataclass(frozen=True)
class Version:
    """One bundle in a slot.

    Attributes:
        counter: its number in the slot, never given twice.
        sha256: of the whole bundle file.
        bytes: of that file.
        artifacts: SHA-256 of each artifact in it.
        base_sha256: SHA-256 of the artifact whose head was retrained into this one; None in a base.
        replaced: counter of the version that was in use when this one came.
        good: it has passed its check in a start.
        fault: why the slot gave it up; None where it did not.
    """

    counter: int
    sha256: str
    bytes: int
    artifacts: tuple[str, ...]
    base_sha256: str | None
    replaced: int | None
    good: bool = False
    fault: str | None = None

    @property
    def file(self) -> str:
        """Its file's name in the slot."""
        return f"{self.counter:06d}-{self.sha256[:16]}.edgecnn"

    @property
    def kind(self) -> str:
        return "base" if self.base_sha256 is None else "tuned"

    @staticmethod
    def from_json(value: dict[str, Any]) -> Version:
        artifacts = tuple(value.pop("artifacts"))
        version = Version(artifacts=artifacts, **value)
        texts = (version.sha256, *version.artifacts, version.base_sha256 or "", version.fault or "")
        numbers = (version.counter, version.bytes, version.replaced or 0)
        if not all(type(t) is str for t in texts) or not all(type(n) is int and n >= 0 for n in numbers):
            raise TypeError("a version has a field of another type")
        # It becomes a part of a file name.
        if len(version.sha256) != 64 or not set(version.sha256) <= set("0123456789abcdef"):
            raise ValueError("a version has no SHA-256")
        return version


@dataclass(frozen=True)
class Return:
    """One automatic return: which version the slot left, for which one, and why."""

    left: int
    to: int
    reason: str


@dataclass(frozen=True)
class SlotRecord:
    """The whole record.

    Attributes:
        generation: number of this record; each written one has the next.
        counter: highest counter that a version ever had; it never goes down.
        active: counter of the version in use.
        last_good: counter of the last version that proved itself; None before the first.
        probation: None once the active version has proved itself, else INSTALLED or STARTING.
        versions: in the order of their counters.
        last_return: the last automatic return, if any.
    """

    generation: int
    counter: int
    active: int
    last_good: int | None
    probation: str | None
    versions: tuple[Version, ...]
    last_return: Return | None = None

    def version(self, counter: int) -> Version:
        """Raises: SlotError: the slot has no such version."""
        for version in self.versions:
            if version.counter == counter:
                return version
        held = ", ".join(str(v.counter) for v in self.versions)
        raise SlotError(f"the slot has no version {counter}; it has {held}")

    @property
    def active_version(self) -> Version:
        return self.version(self.active)

    def holds_artifact(self, sha256: str) -> bool:
        """Whether an artifact of this SHA-256 is in one of the versions."""
        return any(sha256 in version.artifacts for version in self.versions)

    def refuge(self) -> Version | None:
        """The version to return to where the active one fails: the last good one, else a good one, else any."""
        others = [v for v in self.versions if v.counter != self.active and v.fault is None]
        return max(others, key=lambda v: (v.counter == self.last_good, v.good, v.counter), default=None)

    def previous(self) -> Version | None:
        """The version that a rollback goes back to: the one in use before, else the newest good one before it."""
        active = self.active_version
        usable = [v for v in self.versions if v.good and v.fault is None and v.counter != self.active]
        if self.probation is not None and self.last_good is not None:
            return next((v for v in usable if v.counter == self.last_good), None)
        earlier = [v for v in usable if v.counter < self.active]
        return max(earlier, key=lambda v: (v.counter == active.replaced, v.counter), default=None)

    def with_installed(self, version: Version) -> SlotRecord:
        """`version` is active and on probation; versions that nothing needs any more are dropped."""
        kept = [v for v in (*self.versions, version) if v in self._needed(version)]
        return self._next(counter=version.counter, active=version.counter, probation=INSTALLED, versions=tuple(kept))

    def with_started(self) -> SlotRecord:
        """The active version is being tried."""
        return self._next(probation=STARTING)

    def with_trial_put_off(self) -> SlotRecord:
        """The trial could not be made, through no fault of the version."""
        return self._next(probation=INSTALLED)

    def with_proof(self) -> SlotRecord:
        """The active version has passed its check."""
        proved = replace(self.active_version, good=True, fault=None)
        return self._next(probation=None, last_good=self.active, versions=self._with(proved))

    def with_return(self, refuge: Version, reason: str) -> SlotRecord:
        """The active version is given up for `refuge`."""
        return self._next(
            active=refuge.counter,
            last_good=refuge.counter if refuge.good else self.last_good,
            probation=None if refuge.good else INSTALLED,
            versions=self._with(replace(self.active_version, good=False, fault=reason)),
            last_return=Return(self.active, refuge.counter, reason),
        )

    def with_rollback(self, target: Version) -> SlotRecord:
        """`target` is active, on probation unless it has proved itself before."""
        proved = target.good and target.fault is None
        return self._next(
            active=target.counter,
            last_good=target.counter if proved else self.last_good,
            probation=None if proved else INSTALLED,
            versions=self._with(replace(target, fault=None)),
        )

    def with_counter(self, counter: int) -> SlotRecord:
        """The same with a counter of at least `counter`."""
        return self._next(counter=max(self.counter, counter))

    def _next(self, **changes: Any) -> SlotRecord:
        return replace(self, generation=self.generation + 1, **changes)

    def _with(self, changed: Version) -> tuple[Version, ...]:
        return tuple(changed if v.counter == changed.counter else v for v in self.versions)

    def _needed(self, new: Version) -> list[Version]:
        usable = [v for v in self.versions if v.fault is None]
        in_use = [v for v in usable if v.counter in (self.active, self.last_good)]
        bases = [v for v in usable if v.base_sha256 is None]
        parents = [v for v in usable if new.base_sha256 in v.artifacts]
        return [new, *in_use, *bases[-1:], *parents[-1:], *[v for v in usable if v.good][-KEPT:]]

    def to_json(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION} | asdict(self)

    def to_bytes(self) -> bytes:
        """The record with a checksum of itself, as a file holds it."""
        value = self.to_json()
        return (json.dumps(value | {"checksum": _checksum(value)}, indent=1, sort_keys=True) + "\n").encode()

    @staticmethod
    def from_bytes(data: bytes) -> SlotRecord:
        """Raises: ValueError: damaged; SlotError: a newer edge_cnn wrote it."""
        try:
            value = json.loads(data)
            checksum = value.pop("checksum")
            if checksum != _checksum(value):
                raise ValueError("its checksum is wrong")
            schema = value.pop("schema_version")
            if schema > SCHEMA_VERSION:
                raise SlotError(
                    f"a newer edge_cnn wrote it (schema version {schema}, this one reads up to {SCHEMA_VERSION}); "
                    "update edge_cnn on this machine"
                )
            told = value.pop("last_return")
            versions = tuple(Version.from_json(v) for v in value.pop("versions"))
            record = SlotRecord(**value, versions=versions, last_return=None if told is None else Return(**told))
            record._check()
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no record ({error})") from error
        return record

    def _check(self) -> None:
        counters = [v.counter for v in self.versions]
        if self.active not in counters or sorted(set(counters)) != counters or max(counters) > self.counter:
            raise ValueError("its counters contradict each other")
        if self.probation not in (None, INSTALLED, STARTING) or type(self.generation) is not int:
            raise ValueError("it is no record")


def first_record(version: Version, generation: int = 1) -> SlotRecord:
    """The record of a slot that holds nothing but `version`, on probation."""
    return SlotRecord(generation, version.counter, version.counter, None, INSTALLED, (version,))


def _checksum(value: dict[str, Any]) -> str:
    import hashlib

    # Whatever the schema, so that an older edge_cnn can tell a newer record from a damaged one.
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
