import json
import re

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.host.datasets import load_dataset


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a short training on the spiral with its recipe."""
    out = tmp_path_factory.mktemp("runs") / "spiral"
    assert main(["train", "--data", "spiral", "--epochs", "4", "--out", str(out)]) == 0
    return out


def test_the_recipe_trains_a_perceptron_on_the_playgrounds_loss_and_watches_the_test_part(run):
    record = json.loads((run / "training.json").read_text())
    assert (record["architecture"], record["config"]["objective"]) == ("mlp", "squared-error")
    assert record["config"]["patience"] is None
    history = json.loads((run / "history.json").read_text())
    assert [row["epoch"] for row in history] == list(range(5))
    assert all(0 < row["test_loss"] < 1.5 and 0 <= row["test_wrong"] <= 250 for row in history)


def test_what_the_history_tells_of_the_test_part_is_what_the_saved_model_does(run):
    import keras

    record, history = (json.loads((run / name).read_text()) for name in ("training.json", "history.json"))
    test = load_dataset("spiral").test
    scores = keras.models.load_model(run / "model.keras", compile=False).predict(test.images, verbose=0)
    output, target = scores[:, 1] - scores[:, 0], 2.0 * test.labels - 1
    kept = history[record["best_epoch"]]
    assert kept["test_loss"] == pytest.approx(np.mean(0.5 * (output - target) ** 2), rel=1e-4)
    assert kept["test_wrong"] == np.sum((output > 0) != (target > 0))


def test_the_report_shows_surface_film_and_neurons(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    for title in ("Its answer at every point", "How it learned", "What each neuron sees"):
        assert f"<h2>{title}</h2>" in page
    assert not re.findall(r'(?:href|src)="(?!#|data:)', page)
    assert "loss (squared)" in page


def test_the_page_of_the_progress_leads_to_the_report(run):
    assert "url=report.html" in (run / "progress.html").read_text(encoding="utf-8")


def test_stderr_names_the_page_to_watch_and_the_result_the_loss_of_the_test_part(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "--data", "spiral", "--epochs", "1", "--out", str(out), "--json"]) == 0
    told = capsys.readouterr()
    assert str(out / "progress.html") in told.err
    document = json.loads(told.out)
    history = json.loads((out / "history.json").read_text())
    assert document["test_loss"] == history[document["best_epoch"]]["test_loss"]


def test_the_film_in_the_report_is_of_the_restart_that_was_kept(tmp_path):
    out = tmp_path / "run"
    assert main(["train", "--data", "spiral", "--epochs", "2", "--restarts", "2", "--out", str(out)]) == 0
    history = json.loads((out / "history.json").read_text())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"epoch 0: test loss {history[0]['test_loss']:.3f}" in page


def test_weights_by_class_name_are_no_trouble_for_the_film(tmp_path):
    words = ["--epochs", "1", "--class-weights", "orange=2"]
    assert main(["train", "--data", "spiral", *words, "--out", str(tmp_path / "run")]) == 0
