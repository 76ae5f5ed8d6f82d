"""Artifacts x devices: what stands in each cell, and which cells computed the same bits."""

from __future__ import annotations

from dataclasses import dataclass

from edge_cnn.verify.parity import ParityReport
from edge_cnn.verify.verify_result import VerifyReport, VerifyResult

PASSED, FAILED, LOST, SKIPPED = "pass", "FAIL", "LOST", "-"


@dataclass(frozen=True)
class Cell:
    """One artifact on one device.

    Attributes:
        artifact, device: which.
        state: `PASSED`, `FAILED`, `LOST` (the device went away, or its accelerator did not run it) or `SKIPPED` (it has
            no runtime for the format).
        difference: from the host, in words; empty where nothing was compared.
        group: a letter that cells of the same artifact share which computed the same bits; empty for the only one.
        result: None where it did not run.
    """

    artifact: str
    device: str
    state: str
    difference: str = ""
    group: str = ""
    result: VerifyResult | None = None

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.state, self.difference, self.group) if part)


def matrix(report: VerifyReport) -> list[list[Cell]]:
    """A row an artifact, a cell a device, in the order of `report.artifacts()` and `report.devices()`."""
    results = {(r.artifact, r.device): r for r in report.results}
    lost = {(item.artifact, item.device) for item in report.lost}
    regressed = {(c.artifact, c.device) for c in report.regressions}
    rows: list[list[Cell]] = []
    for artifact in report.artifacts():
        groups = bit_groups([r for r in report.results if r.artifact == artifact])
        row: list[Cell] = []
        for device in report.devices():
            result = results.get((artifact, device))
            if result is None:
                row.append(Cell(artifact, device, LOST if (artifact, device) in lost else SKIPPED))
                continue
            state = PASSED if result.passed and (artifact, device) not in regressed else FAILED
            difference = difference_words(result.parity) if result.parity else ""
            row.append(Cell(artifact, device, state, difference, groups.get(device, ""), result))
        rows.append(row)
    return rows


def bit_groups(results: list[VerifyResult]) -> dict[str, str]:
    """Device -> letter, for results of one artifact: equal letters computed equal bits. Empty with fewer than two."""
    hashes = {r.device: r.parity.output_sha256 for r in results if r.parity is not None}
    if len(hashes) < 2:
        return {}
    letters = {digest: _letter(i) for i, digest in enumerate(dict.fromkeys(hashes.values()))}
    return {device: letters[digest] for device, digest in hashes.items()}


def difference_words(parity: ParityReport) -> str:
    """The largest difference from the host: "exact", "2 LSB" or, of floats, "3e-06"."""
    compared = parity.compared
    largest = compared.max_abs if compared.max_lsb is None else compared.max_lsb
    if largest == 0:
        return "exact"
    return f"{largest:.0e}" if compared.max_lsb is None else f"{largest} LSB"


def _letter(number: int) -> str:
    """a, b, ... z, aa, ab, ... as spreadsheets count."""
    word = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        word = chr(ord("a") + rest) + word
    return word
