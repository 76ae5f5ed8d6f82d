from html.parser import HTMLParser

import numpy as np
import pytest

from edge_cnn.core.protocols import Kernels
from edge_cnn.device.runtimes.operator_times import OperatorTime
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.latency_report import ColdStart, LatencyReport, Timing
from edge_cnn.verify.report.latency_page import to_html
from edge_cnn.verify.throttling import ThrottleState, judge_throttling

SILENT = ThrottleState({}, {}, None, None, None)
FACTS = DeviceFacts("aarch64", "3.11.2", "Cortex-A72", 4, ("asimd",), 3790.4, 50.0)


def timing(latencies, **options):
    latencies = np.asarray(latencies, np.float64)
    cold = ColdStart(12.0, 130.0, 2.5, 0.5)
    return Timing(cold, latencies, 44.5, judge_throttling(latencies, SILENT, SILENT), **options)


def report(found, **options):
    values = {"artifact": "model.tflite", "device": "ssh://pi@board", "runtime": "litert", "version": "2.3.0"}
    return LatencyReport(
        **(values | options), kernels=Kernels("xnnpack", {"XNNPACK": 1.0}), threads=2, facts=FACTS, timing=found
    )


class Page(HTMLParser):
    """Checks that every tag that opens closes, and collects the text."""

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


@pytest.fixture
def check_page():
    """A function that checks a page and returns its text."""

    def check(html):
        page = Page(html)
        assert page.open == []
        assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
        assert not any({"src", "href"} & set(attributes) for _, attributes in page.tags)
        assert "url(" not in html
        assert "@import" not in html
        assert "nan" not in html
        return page.text

    return check


def test_it_is_one_file_that_a_parser_takes_and_that_fetches_nothing(check_page):
    operators = (OperatorTime("conv<1>", "Conv", "CPU", 9.0), OperatorTime("fc", "Gemm", "CPU", 1.0))
    reports = [
        report(timing(np.linspace(90, 110, 300), operators=operators)),
        report(timing([80.0, 81.0], operators_reason="litert tells none"), device="local"),
        report(None, device="qemu-aarch64", artifact="other.onnx"),
    ]
    text = check_page(to_html("a & b.edgecnn", reports))
    for words in ("a & b.edgecnn", "ssh://pi@board", "2 threads", "Cortex-A72", "90.0%", "conv<1>", "litert tells"):
        assert words in text


def test_an_emulated_device_shows_that_word_and_no_time(check_page):
    page = to_html("m", [report(None)])
    text = check_page(page)
    assert "emulated" in text
    assert "µs" not in text
    assert "cold start" not in text


def test_every_run_is_in_the_histogram():
    latencies = np.random.default_rng(0).lognormal(5, 1, 777)
    page = to_html("m", [report(timing(latencies))])
    counts = [int(part.split(" runs")[0].split(": ")[-1]) for part in page.split('title="')[1:]]
    assert sum(counts) == 777


@pytest.mark.parametrize("latencies", [[50.0], [50.0, 50.0], [50.0] * 300, [1e-3, 1e9]])
def test_a_distribution_without_a_spread_or_with_a_huge_one_is_drawn(latencies, check_page):
    check_page(to_html("m", [report(timing(latencies))]))
