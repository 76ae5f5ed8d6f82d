import re
from types import SimpleNamespace
from xml.etree import ElementTree

import keras
import numpy as np
import pytest

from edge_cnn.host.architectures import build_model
from edge_cnn.host.datasets import Dataset, load_dataset
from edge_cnn.host.training import EpochRecord, TrainConfig, View
from edge_cnn.host.training_report.live_page import SECONDS_BETWEEN, SHARE_OF_TIME, LivePage


@pytest.fixture(scope="module")
def spiral():
    return load_dataset("spiral")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return build_model("mlp", (1, 1, 2), 2)


@pytest.fixture
def images(bars):
    return Dataset("folder/of/bars", bars(30), bars(9), "made", "none")


def config(**changed):
    return TrainConfig(**({"architecture": "mlp", "epochs": 40, "objective": "squared-error"} | changed))


def view(network, epoch=3, *, test_loss=0.25):
    wrong = None if test_loss is None else 17
    history = tuple(
        EpochRecord(e, 0.6 / (e + 1), 0.7 / (e + 1), 0.5, 0.5, 0.1, 0.5, {}, test_loss, wrong) for e in range(epoch + 1)
    )
    return View(SimpleNamespace(mean=network), history[-1], history)


def test_the_page_shows_curves_surfaces_and_points_and_loads_itself_again(tmp_path, spiral, network):
    page = LivePage(tmp_path / "new" / "progress.html", spiral, config())
    page.on_view(view(network))
    text = page.path.read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh" content="2">' in text
    assert "mlp on spiral: epoch 3 of 40" in text
    assert text.count("<img") == 64
    assert "hidden1: 32 neurons" in text
    answers = network.predict(spiral.test.images, verbose=0).argmax(axis=1)
    assert f"{int(np.sum(answers != spiral.test.labels))} of 250 test points" in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)


def test_the_page_fetches_nothing_and_runs_nothing(tmp_path, spiral, network):
    page = LivePage(tmp_path / "progress.html", spiral, config())
    page.on_view(view(network))
    text = page.path.read_text(encoding="utf-8")
    assert not re.findall(r'(?:href|src)="(?!#|data:)', text)
    assert "<script" not in text


def test_other_data_has_the_curves_alone(tmp_path, images, network):
    page = LivePage(tmp_path / "progress.html", images, config(objective="cross-entropy"))
    page.on_view(view(network, test_loss=None))
    text = page.path.read_text(encoding="utf-8")
    assert "mlp on bars: epoch 3 of 40" in text
    assert "loss (nats)" in text
    assert "polyline" in text
    assert "<img" not in text
    assert "test part" not in text


def test_an_autoencoder_has_no_surface_and_no_error_but_its_loss(tmp_path, spiral):
    page = LivePage(tmp_path / "progress.html", spiral, config(architecture="autoencoder", objective="reconstruction"))
    nan = float("nan")
    record = EpochRecord(1, 0.5, 0.5, nan, nan, 0.1)
    network = build_model("autoencoder", (1, 1, 2), 2)
    page.on_view(View(SimpleNamespace(mean=network), record, (record,)))
    text = page.path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "nan" not in text.lower()


class _Clock:
    """Time that passes when it is looked at, as if a page took `cost` seconds to make."""

    def __init__(self):
        self.now, self.cost, self.looks = 100.0, 0.0, 0

    def __call__(self):
        self.looks += 1
        self.now += self.cost if self.looks % 2 == 0 else 0.0
        return self.now


def written_at(page, clock, network, seconds):
    """After which of so many seconds a page was written."""
    times = []
    for second in range(seconds):
        page.path.unlink(missing_ok=True)
        clock.now, clock.looks = 100.0 + second, 0
        page.on_view(view(network))
        if page.path.exists():
            times.append(second)
    return times


def test_quick_pages_come_every_two_seconds(tmp_path, images, network):
    clock = _Clock()
    page = LivePage(tmp_path / "progress.html", images, config(), clock=clock)
    assert written_at(page, clock, network, 9) == [0, 2, 4, 6, 8]
    assert SECONDS_BETWEEN == 2


def test_slow_pages_take_no_more_than_their_share_of_the_time(tmp_path, images, network):
    clock = _Clock()
    page = LivePage(tmp_path / "progress.html", images, config(), clock=clock)
    clock.cost = 0.5
    times = written_at(page, clock, network, 200)
    # The first one loads what draws and is not counted; each other one has the time of 50 for itself.
    assert times[:2] == [0, 2]
    assert np.diff(times[1:]).tolist() == [0.5 / SHARE_OF_TIME] * (len(times) - 2)
    assert len(times) > 5


def test_an_open_browser_is_led_to_the_report(tmp_path, images, network):
    with LivePage(tmp_path / "progress.html", images, config()) as page:
        page.on_view(view(network))
        page.end("report.html")
    assert '<meta http-equiv="refresh" content="1; url=report.html">' in page.path.read_text(encoding="utf-8")


def test_who_wants_to_watch_is_told_when_there_is_a_page_and_once(tmp_path, images, network):
    clock, there = _Clock(), []
    path = tmp_path / "progress.html"
    page = LivePage(path, images, config(), on_first=lambda: there.append(path.exists()), clock=clock)
    assert len(written_at(page, clock, network, 5)) > 1
    assert there == [True]


@pytest.mark.parametrize(("interrupted", "title"), [(False, "Trained"), (True, "Interrupted")])
def test_the_last_page_tells_whether_the_training_came_to_its_end(tmp_path, images, network, interrupted, title):
    with LivePage(tmp_path / "progress.html", images, config()) as page:
        page.on_view(view(network))
        page.end("report.html", interrupted=interrupted)
    assert f"<h1>{title}</h1>" in page.path.read_text(encoding="utf-8")


def test_a_training_that_fails_leaves_no_page_and_no_folder(tmp_path, images, network):
    page = LivePage(tmp_path / "new" / "progress.html", images, config())
    page.on_view(view(network))
    assert page.path.exists()
    with pytest.raises(ZeroDivisionError), page:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_before_stays(tmp_path, images, network):
    (tmp_path / "old").mkdir()
    with LivePage(tmp_path / "old" / "progress.html", images, config()) as page:
        page.on_view(view(network))
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
    assert list((tmp_path / "old").iterdir()) == []


def test_a_page_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path, images, network):
    (tmp_path / "file").write_text("in the way")
    told = []
    page = LivePage(tmp_path / "file" / "progress.html", images, config(), on_failure=told.append, clock=_Clock())
    for _ in range(3):
        page.on_view(view(network))
    page.end("report.html")
    assert len(told) == 1
    assert "progress.html" in told[0]


def test_nothing_is_written_before_the_first_epoch_is_told(tmp_path, images):
    with LivePage(tmp_path / "progress.html", images, config()) as page:
        page.end("report.html")
    assert list(tmp_path.iterdir()) == []
