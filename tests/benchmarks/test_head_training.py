"""The benchmark of head training: that its peers do what it says they do, and what it makes of their times."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
SAMPLES, FEATURES, CLASSES = 96, 8, 3


@pytest.fixture(autouse=True)
def benchmark_modules(monkeypatch):
    """The benchmarks import each other as scripts do."""
    monkeypatch.syspath_prepend(str(HERE))


def rounds_of(**milliseconds):
    """Three rounds a side, the second on a machine that is twice as slow; a side is (loss, accuracy)."""
    return {
        name: [
            {"loss": loss and loss * slowdown, "accuracy": accuracy and accuracy * slowdown} for slowdown in (1, 2, 1)
        ]
        for name, (loss, accuracy) in milliseconds.items()
    }


def result_of(times, **memory):
    from head_table import compare, median_ms

    ms = {name: {goal: median_ms(times, name, goal) for goal in ("loss", "accuracy")} for name in times}
    memory = memory or dict.fromkeys(times, 1.0)
    return {"embeddings": "some", "threads": 1, "ms": ms, "memory_mb": memory} | compare(times, memory)


def test_the_fastest_of_the_peers_that_come_to_the_accuracy_is_the_one_that_counts():
    from head_table import summary, table

    result = result_of(
        rounds_of(edge_cnn=(4, 2), LogisticRegression=(8, 5), TFLite=(None, 4), PyTorch=(None, None)),
        edge_cnn=3.0,
        LogisticRegression=6.0,
        TFLite=2.0,
        PyTorch=9.0,
    )
    assert (result["accuracy_ratio"], result["accuracy_peer"]) == (0.5, "TFLite")
    assert (result["loss_ratio"], result["memory_ratio"], result["memory_peer"]) == (0.5, 1.5, "TFLite")
    assert re.search(r"accuracy at worst 0\.50 .* TFLite's on some \(MISSED <= 0\.3\)", summary([result]))
    assert "loss 0.50 of LogisticRegression's time in geometric mean (met <= 0.7)" in summary([result])
    assert len(table([result]).splitlines()) == 2


def test_where_only_the_peers_come_to_the_accuracy_the_goal_is_missed():
    from head_table import summary, table

    fine = result_of(rounds_of(edge_cnn=(4, 1), LogisticRegression=(8, 5)))
    lost = result_of(rounds_of(edge_cnn=(4, None), LogisticRegression=(8, 5), TFLite=(None, 4)))
    assert (lost["accuracy_ratio"], lost["accuracy_peer"]) == (None, "TFLite")
    assert "never there on some, where TFLite is (MISSED)" in summary([lost])
    assert "never" in table([lost])
    assert "(met <= 0.3)" in summary([fine])


def test_what_there_is_nothing_to_compare_with_is_left_out_of_the_goals():
    from head_table import summary, table

    alone = result_of(rounds_of(edge_cnn=(4, 2)))
    assert summary([alone]) == "1 thread: no peer ran"
    assert alone["accuracy_peer"] is alone["memory_peer"] is None
    assert "never" not in table([alone])


def test_inputs_are_standardized_by_the_statistics_of_the_training_part():
    from head_shapes import synthetic

    embeddings = synthetic(SAMPLES, FEATURES, CLASSES)
    codes, held = (c.astype(np.float64) for c in (embeddings.codes, embeddings.held_codes))
    scale = np.maximum(codes.std(axis=0), 0.1 * np.sqrt(codes.var(axis=0).mean()))
    for found, part in ((embeddings.inputs(), codes), (embeddings.held_inputs(), held)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, :-1], (part - codes.mean(axis=0)) / scale, rtol=1e-5, atol=1e-6)
        assert (found[:, -1] == 1).all()


def adam(z, labels, batch, rate, l2, steps):
    """Kingma and Ba 2015, algorithm 1, in float64 from zero."""
    weights = np.zeros((labels.max() + 1, z.shape[1]))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for number in range(steps):
        start = batch * (number % (len(z) // batch))
        x, y = z[start : start + batch].astype(np.float64), labels[start : start + batch]
        shares = np.exp(x @ weights.T)
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(batch), y] -= 1
        gradient = shares.T @ x / batch + l2 * weights
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9 ** (number + 1)), second / (1 - 0.999 ** (number + 1))
        weights -= rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return weights


@pytest.mark.slow
@pytest.mark.parametrize("name", ["PyTorch", "TFLite"])
@pytest.mark.parametrize("batch", [40, 0])
def test_a_peer_takes_adams_steps_and_starts_anew_in_each_fit(name, batch, tmp_path):
    pytest.importorskip({"PyTorch": "torch", "TFLite": "ai_edge_litert"}[name])
    from head_peers import SIDES
    from head_shapes import load, save, synthetic
    from head_side import L2, Setting

    data = tmp_path / "embeddings.npz"
    save(synthetic(SAMPLES, FEATURES, CLASSES), data)
    setting = Setting(batch, 0.03)
    if name == "TFLite":
        # TensorFlow works in another process, as in the benchmark.
        code = (
            "import sys; from pathlib import Path; from head_peer_tflite import convert; from head_shapes import load; "
            f"from head_side import Setting; convert(load(Path(sys.argv[1])), (Setting({batch}, 0.03),))"
        )
        subprocess.run([sys.executable, "-c", code, str(data)], cwd=HERE, check=True, capture_output=True)
    embeddings = load(data)
    fit = SIDES[name].prepare(embeddings, 1, setting)
    z = embeddings.inputs()
    for steps in (20, 1, 7):
        expected = adam(z, embeddings.labels, batch or SAMPLES, setting.rate, L2, steps)
        np.testing.assert_allclose(fit(steps), expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc, which Linux has")
def test_the_benchmark_runs_on_one_tiny_shape_and_names_the_side_that_it_leaves_out(tmp_path):
    (tmp_path / "torch.py").write_text('raise ImportError("there is no torch here")\n')
    written = tmp_path / "results.json"
    shape = [str(number) for number in (SAMPLES, FEATURES, CLASSES)]
    options = ["--quick", "--repeats", "1", "--json", str(written), "--shape", *shape]
    options += ["--sides", "LogisticRegression", "PyTorch", "TFLite"]
    folders = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(HERE / "head_training.py"), *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "PyTorch is left out: torch cannot be imported (there is no torch here); pip install torch" in done.stderr
    assert f"[1/1] {shape[0]} x {shape[1]}, {shape[2]} classes: the optimum (1 of 11)" in done.stderr
    assert "TFLite, 1 thread, memory (11 of 11)" in done.stderr

    (result,) = json.loads(written.read_text())
    sides = ["edge_cnn", "LogisticRegression", "TFLite"]
    assert result["threads"] == 1
    assert set(result["optimum"]) == {"loss", "accuracy"}
    assert [list(result[key]) for key in ("found", "ms", "memory_mb")] == [sides] * 3
    for name in sides:
        for goal in ("loss", "accuracy"):
            found, ms = result["found"][name][goal], result["ms"][name][goal]
            assert (found is None) == (ms is None)
            assert found is None or (found["iterations"] >= 1 and ms > 0)
    assert result["found"]["edge_cnn"]["loss"] is not None
    assert result["found"]["TFLite"]["loss"] is None
    assert result["found"]["TFLite"]["accuracy"]["name"].startswith("batch ")
    assert result["accuracy_peer"] in sides[1:]
    assert result["memory_peer"] in sides[1:]
    assert {"loss_ratio", "accuracy_ratio", "memory_ratio"} <= set(result)

    head, row, goals = done.stdout.splitlines()
    assert "PyTorch" not in head
    assert row.startswith(f"{shape[0]} x {shape[1]}, {shape[2]} classes")
    assert re.match(r"1 thread: loss .*; accuracy at worst .*; memory at worst ", goals)
