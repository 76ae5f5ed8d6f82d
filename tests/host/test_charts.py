import base64
import io
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from edge_cnn.core.errors import UnavailableError
from edge_cnn.host.charts import confusion_matrix, histogram, image_grid, training_curve
from edge_cnn.host.training import EpochRecord

HISTORY = [EpochRecord(e, 2.3 / (e + 1), 2.4 / (e + 1), 1 - 0.9 / (e + 1), 1 - 0.8 / (e + 1), 0.001) for e in range(5)]


def words(svg):
    return {text.strip() for element in ElementTree.fromstring(svg).iter() if (text := element.text) and text.strip()}


def charts():
    return [
        training_curve(HISTORY),
        training_curve(HISTORY[:1]),
        training_curve([EpochRecord(0, 2.3, 2.3, 1.0, 1.0, 0.0), EpochRecord(1, 0.0, 0.0, 1.0, 1.0, 0.0)]),
        confusion_matrix(np.array([[5, 1], [0, 7]]), ["cat & <dog>", "b"]),
        confusion_matrix(np.zeros((40, 40), int), [str(i) for i in range(40)]),
        histogram({-2: 1, 0: 2000, 1: 3}, title="logits", x_label="LSB"),
        histogram({}),
    ]


@pytest.fixture(scope="module")
def drawn():
    """`charts()`, drawn once."""
    return charts()


def test_charts_are_svg_that_an_xml_reader_takes_and_that_fetches_nothing(drawn):
    for svg in drawn:
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "viewBox" in svg[:500]
        references = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', svg)
        assert all(a[:1] in ("", "#") or a.startswith("data:") for pair in references for a in pair)


def test_the_same_numbers_give_the_same_bytes(drawn):
    assert charts() == drawn


def test_two_charts_on_one_page_share_no_id_that_means_something_else():
    first, second = training_curve(HISTORY), histogram({0: 1})
    meaning = [dict(re.findall(r'<clipPath id="([^"]+)">\s*(<[^>]+>)', svg)) for svg in (first, second)]
    assert meaning[0]
    assert all(meaning[0][name] == meaning[1][name] for name in meaning[0].keys() & meaning[1].keys())
    assert "figure_1" not in first


def test_the_curve_names_both_parts():
    assert {"training", "validation", "epoch", "loss (nats)"} <= words(training_curve(HISTORY))


def test_the_confusion_matrix_shows_every_count_that_is_not_zero():
    shown = words(confusion_matrix(np.array([[51, 2, 0], [0, 47, 0], [3, 0, 60]]), ["a", "b", "c"]))
    assert {"51", "2", "47", "3", "60", "a", "b", "c", "truth", "answer"} <= shown
    assert "0" not in shown


def test_names_with_signs_of_html_are_escaped(drawn):
    assert "cat & <dog>" in words(drawn[3])


def test_the_grid_holds_the_very_pixels():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    page = image_grid(images, ["a <b>", "c"])
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    decoded = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]
    assert np.array_equal(decoded, images)
    assert "a &lt;b&gt;" in page
    gray = image_grid(images[..., :1], ["", ""])
    assert gray.count("<img") == 2


def test_without_matplotlib_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UnavailableError, match=r"pip install 'edge-cnn\[host\]'"):
        histogram({0: 1})
