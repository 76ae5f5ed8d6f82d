"""A verify report as JUnit XML, which CI systems read: one test suite a device, one test case an artifact."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from edge_cnn.verify.verify_result import VerifyReport, VerifyResult

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, section 2.2; a native library's last words may hold them."""


def to_junit(report: VerifyReport) -> bytes:
    """The XML document, UTF-8; no clock times, so the same report gives the same bytes.

    A result out of tolerance, or worse than in the baseline, is a failure; a device that went away is an error.
    """
    root = ET.Element("testsuites", name=_clean(f"edge-cnn verify {report.name}"))
    worse = {(c.artifact, c.device, c.runtime): c.reason for c in report.regressions}
    for device in report.devices():
        results = [r for r in report.results if r.device == device]
        skipped = [s for s in report.skipped if s.device == device]
        lost = [item for item in report.lost if item.device == device]
        faults = [_fault(r, worse.get((r.artifact, r.device, r.runtime))) for r in results]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_clean(device),
            tests=str(len(results) + len(skipped) + len(lost)),
            failures=str(sum(fault is not None for fault in faults)),
            errors=str(len(lost)),
            skipped=str(len(skipped)),
        )
        for result, fault in zip(results, faults, strict=True):
            where = _clean(f"{device}.{result.runtime}")
            case = ET.SubElement(suite, "testcase", classname=where, name=_clean(result.artifact))
            if fault is None:
                ET.SubElement(case, "system-out").text = _clean(_figures(result))
            else:
                failure = ET.SubElement(case, "failure", message=_clean(fault), type="ToleranceError")
                failure.text = _clean(_figures(result))
        for item in lost:
            case = ET.SubElement(suite, "testcase", classname=_clean(device), name=_clean(item.artifact))
            ET.SubElement(case, "error", message=_clean(item.reason), type="DeviceUnavailableError")
        for skip in skipped:
            case = ET.SubElement(suite, "testcase", classname=_clean(device), name=_clean(skip.artifact))
            ET.SubElement(case, "skipped", message=_clean(skip.reason))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _fault(result: VerifyResult, worse: str | None) -> str | None:
    """What is wrong with a result, if anything: its own verdict first, then the baseline's."""
    said = [] if result.passed else [result.reason]
    if worse is not None:
        said.append(f"baseline: {worse}")
    return "; ".join(said) or None


def _figures(result: VerifyResult) -> str:
    """The verdict, and what was measured, a line each."""
    lines = [result.reason]
    if result.parity is not None:
        parity, pair = result.parity, result.parity.answers
        lines += [
            f"runtime: {parity.runtime} {parity.runtime_version}, {result.kernels} kernels",
            f"accuracy: {parity.device_accuracy:.4f}, {parity.host_accuracy:.4f} on the host",
            f"answers changed: {len(pair.flips)}, right ones lost {pair.lost}, won {pair.won}, "
            f"McNemar p {pair.p_value:.3g}",
            f"computed bits, SHA-256: {parity.output_sha256}",
        ]
    return "\n".join(lines)


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
