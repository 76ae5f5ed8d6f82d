"""What `verify` prints for a person: a long row each result, or a matrix of artifacts x devices."""

from __future__ import annotations

from edge_cnn.cli.console import table
from edge_cnn.verify.baseline_change import SAME
from edge_cnn.verify.matrix import matrix
from edge_cnn.verify.verify_result import VerifyReport, VerifyResult

MAX_WIDTH = 110
"""Characters; where the devices' names make a line longer, numbers stand for the long ones."""

MAX_HEAD = 16
"""Characters of a name that is not long: about what a cell takes itself."""


def drawn(report: VerifyReport) -> str:
    """A matrix where there are several devices, else a row each result with all its figures."""
    text = _matrix(report) if len(report.devices()) > 1 else _long_table(report)
    changes = _changes(report)
    return f"{text}\n\n{changes}" if changes else text


def _matrix(report: VerifyReport) -> str:
    rows = matrix(report)
    devices = report.devices()
    cells = [[row[0].artifact, *(cell.text for cell in row)] for row in rows]
    heads = list(devices)
    drawn = table(("artifact", *heads), cells)
    if max(len(line) for line in drawn.splitlines()) > MAX_WIDTH:
        heads = [name if len(name) <= MAX_HEAD else f"[{i + 1}]" for i, name in enumerate(devices)]
        drawn = table(("artifact", *heads), cells)
    blocks = [drawn, _key(report), "\n".join(_device_lines(report, heads))]
    blocks.append("\n".join(_faults(report)))
    return "\n\n".join(block for block in blocks if block)


def _key(report: VerifyReport) -> str:
    lines = ["exact, LSB or number: the largest difference from the host's logits."]
    states = {cell.state for row in matrix(report) for cell in row}
    if any(cell.group for row in matrix(report) for cell in row):
        lines.append("The same letter in a row: the same bits, in logits and outputs.")
    if "-" in states:
        lines.append("-: no runtime there for the format.")
    if "LOST" in states:
        lines.append("LOST: the device went away, or its accelerator did not run the file.")
    return "\n".join(_joined(lines))


def _joined(sentences: list[str]) -> list[str]:
    """Sentences one after the other, in lines of at most `MAX_WIDTH`."""
    lines = [""]
    for sentence in sentences:
        longer = f"{lines[-1]} {sentence}".strip()
        if len(longer) > MAX_WIDTH:
            lines.append(sentence)
        else:
            lines[-1] = longer
    return lines


def _device_lines(report: VerifyReport, heads: list[str]) -> list[str]:
    """Which runtimes and kernels each device used."""
    rows: list[str] = []
    width = max(len(head) for head in heads)
    for head, device in zip(heads, report.devices(), strict=True):
        used = dict.fromkeys(_engine(r) for r in report.results if r.device == device and r.parity)
        emulated = any(r.emulated for r in report.results if r.device == device)
        name = "" if head == device else f"{device}: "
        rows.append(f"{head.ljust(width)}  {name}{', '.join(used) or 'ran nothing'}{' (emulated)' if emulated else ''}")
    return rows


def _engine(result: VerifyResult) -> str:
    version = result.parity.runtime_version if result.parity else ""
    return f"{result.runtime} {version} ({result.kernels})"


def _faults(report: VerifyReport) -> list[str]:
    failed = [f"FAILED {r.artifact} on {r.device} with {r.runtime}: {r.reason}" for r in report.failed]
    return failed + [f"LOST {item.artifact} on {item.device}: {item.reason}" for item in report.lost]


def _changes(report: VerifyReport) -> str:
    """Against the baseline, what is not the same; one line each."""
    if not report.changes:
        return ""
    same = sum(change.status == SAME for change in report.changes)
    lines = [f"Baseline: {same} of {len(report.changes)} with the same bits as then."]
    lines += [
        f"{'REGRESSED' if c.is_regression else c.status} {c.artifact} on {c.device} with {c.runtime}: {c.reason}"
        for c in report.changes
        if c.status != SAME
    ]
    return "\n".join(lines)


def _long_table(report: VerifyReport) -> str:
    header = (
        "artifact",
        "device",
        "runtime",
        "kernels",
        "max LSB",
        "top-1",
        "host",
        "device acc.",
        "verdict",
        "reason",
    )
    rows = table(header, [_row(result) for result in report.results])
    lost = [f"LOST {item.artifact} on {item.device}: {item.reason}" for item in report.lost]
    return "\n".join([rows, *lost])


def _row(result: VerifyResult) -> list[str]:
    parity = result.parity
    numbers = ["-"] * 4
    if parity is not None:
        lsb = parity.compared.max_lsb
        numbers = [
            "-" if lsb is None else str(lsb),
            f"{100 * parity.top1_agreement:.1f}%",
            f"{100 * parity.host_accuracy:.1f}%",
            f"{100 * parity.device_accuracy:.1f}%",
        ]
    kernels = result.kernels or "-"
    return [result.artifact, result.device, result.runtime, kernels, *numbers, verdict_word(result), result.reason]


def verdict_word(result: VerifyResult) -> str:
    """As it stands in the long table."""
    return "passed" if result.passed else "FAILED"
