"""A verify report as JUnit XML, which CI systems read: one test suite a device, one test case an artifact."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from edge_cnn.verify.verify_result import VerifyReport

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, section 2.2; a native library's last words may hold them."""


def to_junit(report: VerifyReport) -> bytes:
    """The XML document, UTF-8; no clock times, so the same report gives the same bytes."""
    root = ET.Element("testsuites", name=_clean(f"edge-cnn verify {report.name}"))
    devices = dict.fromkeys([r.device for r in report.results] + [s.device for s in report.skipped])
    for device in devices:
        results = [r for r in report.results if r.device == device]
        skipped = [s for s in report.skipped if s.device == device]
        failures = sum(not r.passed for r in results)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_clean(device),
            tests=str(len(results) + len(skipped)),
            failures=str(failures),
            errors="0",
            skipped=str(len(skipped)),
        )
        for result in results:
            where = _clean(f"{device}.{result.runtime}")
            case = ET.SubElement(suite, "testcase", classname=where, name=_clean(result.artifact))
            if result.passed:
                ET.SubElement(case, "system-out").text = _clean(result.reason)
            else:
                ET.SubElement(case, "failure", message=_clean(result.reason), type="ToleranceError")
        for skip in skipped:
            case = ET.SubElement(suite, "testcase", classname=_clean(device), name=_clean(skip.artifact))
            ET.SubElement(case, "skipped", message=_clean(skip.reason))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
