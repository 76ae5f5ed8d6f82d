"""`edge-cnn status`: what a slot holds, which version is in use, and why it last returned by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.cli.slot_options import SLOT, version_json
from edge_cnn.core.errors import SlotError
from edge_cnn.device.slots.folder import SlotState, read_state, read_version
from edge_cnn.device.slots.record import SlotRecord, Version
from edge_cnn.device.slots.start import current_record


@click.command("status")
@SLOT
@common_options
def command(console: Console, slot: Path) -> int:
    """Show the slot: versions, hashes, probation, the last automatic return and the space it takes.

    Nothing is changed, so it may run beside anything. Exit status 1 when the active version's file is gone or changed.
    """
    state = read_state(slot)
    record = current_record(state)
    faults = {version.counter: _fault(slot, version) for version in record.versions}
    document = _document(state, record, faults)
    for problem in document["problems"]:
        console.note(problem)
    console.result(document, _drawn(slot, record, document, faults))
    return 1 if faults[record.active] else 0


def _document(state: SlotState, record: SlotRecord, faults: dict[int, str | None]) -> dict[str, Any]:
    versions = [version_json(v) | {"intact": faults[v.counter] is None} for v in record.versions]
    returned = record.last_return
    leftovers = len(state.leftovers)
    return {
        "slot": str(state.folder),
        "active": next(v for v in versions if v["counter"] == record.active),
        "probation": record.probation,
        "last_good": record.last_good,
        "counter": record.counter,
        "generation": record.generation,
        "last_return": {"left": returned.left, "to": returned.to, "reason": returned.reason} if returned else None,
        "versions": versions,
        "disk_bytes": _size(state.folder),
        "problems": [
            *state.damaged,
            *(f"version {counter}: {fault}" for counter, fault in faults.items() if fault),
            *([f"{leftovers} files of an interrupted change; the next use removes them"] if leftovers else []),
        ],
    }


def _fault(slot: Path, version: Version) -> str | None:
    try:
        read_version(slot, version)
    except SlotError as error:
        return str(error)
    return None


def _size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # Another process sweeps.
            continue
    return total


def _state(version: Version, fault: str | None) -> str:
    if fault:
        return f"damaged: {fault}"
    return f"given up: {version.fault}" if version.fault else "good" if version.good else "not proved"


def _drawn(slot: Path, record: SlotRecord, document: dict[str, Any], faults: dict[int, str | None]) -> str:
    states = {None: "proved good", "installed": "on probation, not used yet", "starting": "on probation, being tried"}
    now = "damaged, so the next use returns" if faults[record.active] else states[record.probation]
    rows = [
        [
            ("* " if version.counter == record.active else "  ") + str(version.counter),
            version.kind,
            version.sha256[:16],
            f"{version.bytes:,}",
            version.base_sha256[:16] if version.base_sha256 else "-",
            _state(version, faults[version.counter]),
        ]
        for version in record.versions
    ]
    lines = [
        f"{slot}: version {record.active} is active, {now}; last good: {record.last_good or '-'}; "
        f"counter {record.counter}; {document['disk_bytes']:,} bytes",
        table(["version", "kind", "SHA-256", "bytes", "tuned from", "state"], rows),
    ]
    if record.last_return is not None:
        returned = record.last_return
        lines.append(f"returned by itself from version {returned.left} to {returned.to}: {returned.reason}")
    return "\n".join(lines)
