import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from edge_cnn.verify.junit import to_junit
from edge_cnn.verify.replay import judge
from edge_cnn.verify.tolerance_check import Verdict
from edge_cnn.verify.verify_report import MAX_BARS, to_html
from edge_cnn.verify.verify_result import Skipped, VerifyReport


@pytest.fixture
def report(fake_bundle, fakes):
    nudge = np.random.default_rng(0).integers(-1, 2, (32, 10))
    # Widen first: a nudge at the end of int8 would wrap around.
    good = fakes.Runtime(lambda codes: np.clip(codes.reshape(-1, 10).astype(int) + nudge, -128, 127).astype(np.int8))
    bad = fakes.Runtime(lambda codes: codes.reshape(-1, 10)[:, ::-1])
    device = fakes.Device({"model.tflite": good, "model-second.tflite": bad}, name="venv:/a<b>")
    results = tuple(judge(fake_bundle, name, device, "litert") for name in device.graphs)
    crashed = replace(results[0], parity=None, kernels="", verdict=Verdict(False, 'died & "hung" <\x00>'), device="pi")
    return VerifyReport("my <bundle>.edgecnn", (*results, crashed), (Skipped("model.onnx", "pi", "no runtime there"),))


class Page(HTMLParser):
    """Collects tags, their attributes and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(report):
    html = to_html(report)
    page = Page(html)
    assert page.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert not any({"src", "href"} & set(attributes) for _, attributes in page.tags)
    assert "url(" not in html
    assert "@import" not in html
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_page_shows_every_result_with_its_reason(report):
    page = Page(to_html(report))
    for result in report.results:
        assert result.reason in page.text
        assert result.device in page.text
    assert "Failed: 2 of 3 out of tolerance." in page.text
    assert "not run: no runtime there" in page.text
    assert [a["class"] for t, a in page.tags if t == "section"] == ["cell", "cell failed", "cell failed", "cell"]
    assert "my <bundle>.edgecnn" in page.text


def test_bars_stand_for_the_histogram(report):
    page = Page(to_html(VerifyReport("x", report.results[:1])))
    histogram = report.results[0].parity.outputs.histogram
    bars = [a for t, a in page.tags if a.get("class") == "bar"]
    heights = [float(a["style"].removeprefix("height:").removesuffix("%")) for a in bars]
    counts = [histogram[d] for d in (-1, 0, 1)]
    np.testing.assert_allclose(heights, [100 * c / max(counts) for c in counts], atol=0.06)
    assert bars[0]["title"].startswith(f"-1 LSB: {counts[0]} values")


def test_wide_histograms_are_grouped_and_count_everything(report):
    result = report.results[1]
    page = Page(to_html(VerifyReport("x", (result,))))
    bars = [a["title"] for t, a in page.tags if a.get("class") == "bar"]
    assert len(bars) <= MAX_BARS
    assert sum(int(title.split(": ")[1].split()[0]) for title in bars) == 640


def test_an_empty_histogram_and_a_passed_report_are_drawn(report):
    passed = report.results[0]
    empty = replace(passed.parity, outputs=replace(passed.parity.outputs, histogram={}, max_lsb=None, mean_lsb=None))
    page = Page(to_html(VerifyReport("x", (replace(passed, parity=empty),))))
    assert "Passed: 1 of 1 within tolerance." in page.text
    assert not [a for _, a in page.tags if a.get("class") == "bars"]


def test_junit_holds_a_case_an_artifact_and_a_suite_a_device(report):
    root = ET.fromstring(to_junit(report))
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["venv:/a<b>", "pi"]
    assert [suites["pi"].get(k) for k in ("tests", "failures", "skipped", "errors")] == ["2", "1", "1", "0"]
    assert [suites["venv:/a<b>"].get(k) for k in ("tests", "failures", "skipped")] == ["2", "1", "0"]
    cases = list(root.iter("testcase"))
    assert [c.get("name") for c in cases] == ["model.tflite", "model-second.tflite", "model.tflite", "model.onnx"]
    assert [[child.tag for child in c] for c in cases] == [["system-out"], ["failure"], ["failure"], ["skipped"]]
    assert cases[1][0].get("message") == report.results[1].reason
    assert cases[2][0].get("message") == 'died & "hung" <?>'


def test_the_same_report_gives_the_same_bytes(report):
    assert to_junit(report) == to_junit(report)
    assert to_html(report) == to_html(report)
