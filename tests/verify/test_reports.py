import base64
import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from edge_cnn.verify.baseline_change import REGRESSED, SAME, BaselineChange
from edge_cnn.verify.junit import to_junit
from edge_cnn.verify.matrix import bit_groups, matrix
from edge_cnn.verify.paired_answers import PairedAnswers
from edge_cnn.verify.replay import judge
from edge_cnn.verify.report.bars import LATENCY_BARS, MAX_BARS, latency_bars
from edge_cnn.verify.report.flip_images import MAX_FLIPS
from edge_cnn.verify.report.page import to_html
from edge_cnn.verify.report.png import png_bytes
from edge_cnn.verify.tolerance_check import Verdict
from edge_cnn.verify.verify_result import Lost, Skipped, VerifyReport

DEVICE = "venv:/a<b>"


@pytest.fixture
def report(fake_bundle, fakes):
    nudge = np.random.default_rng(0).integers(-1, 2, (32, 10))
    # Widen first: a nudge at the end of int8 would wrap around.
    good = fakes.Runtime(lambda codes: np.clip(codes.reshape(-1, 10).astype(int) + nudge, -128, 127).astype(np.int8))
    bad = fakes.Runtime(lambda codes: codes.reshape(-1, 10)[:, ::-1])
    device = fakes.Device({"model.tflite": good, "model-second.tflite": bad}, name=DEVICE)
    results = tuple(judge(fake_bundle, name, device, "litert") for name in device.graphs)
    crashed = replace(results[0], parity=None, kernels="", verdict=Verdict(False, 'died & "hung" <\x00>'), device="pi")
    skipped = Skipped("model.onnx", "pi", "no runtime there")
    lost = Lost("model-second.tflite", "pi", "connection <lost>")
    return VerifyReport("my <bundle>.edgecnn", (*results, crashed), (skipped,), (lost,))


class Page(HTMLParser):
    """Collects tags, their attributes and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(report, fake_bundle):
    html = to_html(report, fake_bundle)
    page = Page(html)
    assert page.open == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert all(a["src"].startswith("data:image/png;base64,") for t, a in page.tags if "src" in a)
    assert all(a["href"].startswith("#") for t, a in page.tags if "href" in a)
    assert "url(" not in html
    assert "@import" not in html
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_page_shows_every_result_with_its_reason(report):
    page = Page(to_html(report))
    for result in report.results:
        assert result.reason in page.text
        assert result.device in page.text
    assert "Failed: 2 of 3 out of tolerance." in page.text
    assert "Lost: 1 without an answer" in page.text
    assert "connection <lost>" in page.text
    assert "not run, no runtime there" in page.text
    assert "my <bundle>.edgecnn" in page.text


def test_each_cell_of_the_matrix_leads_to_its_details_and_what_is_wrong_is_open(report):
    page = Page(to_html(report))
    targets = [a["href"].removeprefix("#") for t, a in page.tags if t == "a"]
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert sorted(targets) == sorted(ids)
    assert len(set(ids)) == 4
    opened = [("open" in a, a["class"]) for t, a in page.tags if t == "details"]
    assert opened == [(False, "cell"), (True, "cell failed"), (True, "cell failed"), (True, "cell lost")]
    assert [a["class"] for t, a in page.tags if t == "td" and a] == ["pass", "fail", "fail", "lost", "none", "none"]


def test_flips_stand_with_their_images_and_the_rest_is_counted(report, fake_bundle):
    from PIL import Image

    result = report.results[1]
    flips = result.parity.answers.flips
    page = Page(to_html(VerifyReport("x", (result,)), fake_bundle))
    images = [a for t, a in page.tags if t == "img"]
    assert len(images) == MAX_FLIPS < len(flips)
    assert f"and {len(flips) - MAX_FLIPS} more" in page.text
    number = int(images[0]["alt"].removeprefix("sample "))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(images[0]["src"].partition(",")[2]))))
    np.testing.assert_array_equal(shown, fake_bundle.golden.inputs[number][:, :, 0])
    assert f"McNemar p = {result.parity.answers.p_value:.2g}" in page.text


@pytest.mark.parametrize("shape", [(2, 5, 1), (7, 3, 3), (1, 1, 1)])
def test_another_program_reads_our_png(shape):
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    read = Image.open(io.BytesIO(png_bytes(image)))
    assert read.mode == ("L" if shape[2] == 1 else "RGB")
    np.testing.assert_array_equal(np.asarray(read).reshape(shape), image)


def test_latencies_are_drawn_and_an_outlier_does_not_squeeze_the_rest():
    latencies = (*np.linspace(100, 110, 99), 5000.0)
    page = Page(latency_bars(latencies))
    bars = [a["title"] for _, a in page.tags if a.get("class") == "bar"]
    assert len(bars) == LATENCY_BARS
    assert sum(int(title.split(": ")[1].split()[0]) for title in bars) == 100
    assert sum(not title.endswith(": 0 runs") for title in bars) > 3
    assert "p50 105 us" in page.text
    assert "up to 5000" in page.text
    assert Page(latency_bars((7.0, 7.0))).open == []
    assert latency_bars(()) == ""


def test_an_emulated_cell_shows_no_times(report):
    emulated = replace(report.results[0], emulated=True, latencies_us=(1.0, 2.0))
    page = Page(to_html(VerifyReport("x", (emulated,))))
    assert "Times: emulated" in page.text
    assert "p50" not in page.text


def test_a_regression_against_the_baseline_is_told_on_the_page_and_in_junit(report):
    good = report.results[0]
    pair = PairedAnswers((0,) * 8, (0,) * 8, (1,) * 8)
    key = good.artifact, good.device, good.runtime
    worse = VerifyReport("x", (good,), changes=(BaselineChange(*key, REGRESSED, "8 right answers <lost>", pair),))
    page = Page(to_html(worse))
    assert "Failed: 1 of 1 worse than in the baseline." in page.text
    assert page.text.count("8 right answers <lost>") == 2
    assert matrix(worse)[0][0].state == "FAIL"
    (failure,) = ET.fromstring(to_junit(worse)).iter("failure")
    assert failure.get("message") == "baseline: 8 right answers <lost>"
    same = VerifyReport("x", (good,), changes=(BaselineChange(*key, SAME, "the same bits", pair),))
    assert not list(ET.fromstring(to_junit(same)).iter("failure"))
    assert "1 of 1 with the same bits as then." in Page(to_html(same)).text


def test_cells_that_computed_the_same_bits_share_a_letter(report):
    first, other = report.results[:2]
    parity = replace(first.parity, output_sha256="0" * 64)
    cells = [
        replace(first, device="x"),
        replace(first, device="y", parity=parity),
        replace(first, device="z"),
        replace(first, device="dead", parity=None),
    ]
    assert bit_groups(cells) == {"x": "a", "y": "b", "z": "a"}
    assert bit_groups([other]) == {}
    many = [replace(first, device=str(i), parity=replace(parity, output_sha256=str(i))) for i in range(28)]
    assert list(bit_groups(many).values())[24:] == ["y", "z", "aa", "ab"]


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
    assert list(suites) == [DEVICE, "pi"]
    assert [suites["pi"].get(k) for k in ("tests", "failures", "skipped", "errors")] == ["3", "1", "1", "1"]
    assert [suites[DEVICE].get(k) for k in ("tests", "failures", "skipped", "errors")] == ["2", "1", "0", "0"]
    cases = list(root.iter("testcase"))
    assert [c.get("name") for c in cases] == [
        "model.tflite", "model-second.tflite", "model.tflite", "model-second.tflite", "model.onnx",
    ]  # fmt: skip
    tags = [[child.tag for child in c] for c in cases]
    assert tags == [["system-out"], ["failure"], ["failure"], ["error"], ["skipped"]]
    assert cases[1][0].get("message") == report.results[1].reason
    assert cases[2][0].get("message") == 'died & "hung" <?>'
    assert cases[3][0].get("message") == "connection <lost>"
    assert f"McNemar p {report.results[1].parity.answers.p_value:.3g}" in cases[1][0].text


def test_the_same_report_gives_the_same_bytes(report, fake_bundle):
    assert to_junit(report) == to_junit(report)
    assert to_html(report, fake_bundle) == to_html(report, fake_bundle)
