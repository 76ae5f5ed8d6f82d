import json
import sys

import numpy as np
import pytest

from edge_cnn.cli.main import main


@pytest.fixture
def words(bars, small_network, tmp_path):
    samples = bars(120)
    np.savez(tmp_path / "bars.npz", x=samples.images, y=samples.labels)
    data = ["--data", str(tmp_path / "bars.npz"), "--arch", small_network, "--augment", "none"]
    return ["train", *data, "--epochs", "3", "--out", str(tmp_path / "out"), "--json"]


@pytest.fixture(scope="session")
def bars():
    """Makes samples of three classes: an upright, a lying or a slanting bar in noise."""
    from edge_cnn.core.labelled_images import LabelledImages

    def make(count):
        rng = np.random.default_rng(0)
        labels = np.arange(count) % 3
        images = rng.integers(0, 90, (count, 12, 12, 1))
        for image, label, place in zip(images, labels, rng.integers(3, 9, count), strict=True):
            rows, columns = ((slice(None), place), (place, slice(None)), (np.arange(12), np.arange(12)))[label]
            image[rows, columns] += 150
        return LabelledImages(images.astype(np.uint8), labels.astype(np.int64), ("upright", "lying", "slanting"))

    return make


@pytest.mark.slow
def test_the_best_of_a_search_is_trained_whole_and_told(words, tmp_path, capsys):
    pytest.importorskip("optuna", reason="Optuna is not installed; pip install 'edge-cnn[search]'")
    assert main([*words, "--search", "4", "--optimizer", "adam"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    training = json.loads((tmp_path / "out" / "training.json").read_text())
    assert len(found["trials"]) == document["search"]["trials"] == 4
    assert document["search"]["parameters"] == found["parameters"]
    # What was given is not searched, and the same seed gives the best trial's loss once more.
    assert all("optimizer" not in trial["values"] for trial in found["trials"])
    assert document["val_loss"] == pytest.approx(found["val_loss"], rel=1e-6)
    assert training["config"]["warm_up"] == found["parameters"]["warm-up"]
    assert "The search" in (tmp_path / "out" / "report.html").read_text()
    assert "search 4/4" in captured.err
    which = "the training without a search, is the best" if found["best"] == 1 else "the best"
    assert f"trial {found['best']}, {which} of 4: rate factor" in captured.err
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3, 4]
    # All trials are there already, so only the training of the best remains.
    assert main([*words, "--search", "4", "--optimizer", "adam", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["search"] == document["search"]


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--search", "0"], 2, "--search 0: it must be at least 1; try 20"),
        (["--study", "s.db"], 2, "--study s.db: it keeps the trials of a search; add --search"),
        (["--search", "2", "--study", "."], 2, "--study .: there is a folder of this name"),
    ],
)
def test_options_that_cannot_be_are_one_clear_line(words, tmp_path, capsys, more, status, said):
    if "." in more:
        pytest.importorskip("optuna", reason="Optuna is not installed; pip install 'edge-cnn[search]'")
    assert main([*words, *more, "--quiet"]) == status
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "model.keras").exists()


def test_without_optuna_the_line_says_what_to_install(words, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main([*words, "--search", "2", "--quiet"]) == 3
    assert "pip install 'edge-cnn[search]'" in capsys.readouterr().err
