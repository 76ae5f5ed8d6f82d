import json

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.npz import pack_npz


@pytest.fixture
def npz(tmp_path):
    """Two classes of small pictures, dark and light."""
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    images = (rng.integers(0, 100, (24, 12, 12, 1)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    path = tmp_path / "data.npz"
    path.write_bytes(pack_npz({"x": images, "y": labels, "labels": np.array(["dark", "light"])}))
    return path


def test_a_network_within_its_budget_is_trained_and_its_costs_are_told(npz, tmp_path, capsys):
    words = ["train", "--data", str(npz), "--arch", "mlp", "--out", str(tmp_path / "o"), "--epochs", "1", "--json"]
    limits = ["--max-params", "6k", "--max-macs", "5.8k", "--max-size", "11KiB", "--target", "cortex-m4"]
    assert main([*words, *limits]) == 0
    captured = capsys.readouterr()
    # 144 inputs, two layers of 32 and 2 scores: 144*32 + 32*32 + 32*2 multiplications, and 66 biases.
    assert "mlp: 5,762 parameters, 5,696 multiply-accumulates a sample, about " in captured.err
    budget = json.loads(captured.out)["budget"]
    assert (budget["parameters"], budget["macs"], budget["target"]) == (5762, 5696, "cortex-m4")
    assert [limit["limit"] for limit in budget["limits"]] == [6000, 5800, 11 * 1024, 2 * 2**20, 640 * 2**10]


def test_without_limits_nothing_is_said_of_costs(npz, tmp_path, capsys):
    words = ["train", "--data", str(npz), "--arch", "mlp", "--out", str(tmp_path / "o"), "--epochs", "1", "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "multiply-accumulates" not in captured.err
    assert "budget" not in json.loads(captured.out)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--max-params", "5000"], 1, "mlp has 5,762 parameters, and --max-params is 5,000; no other"),
        (
            ["--arch", "lenet", "--max-params", "30k"],
            1,
            "and --max-params is 30,000; give --arch ds_cnn, which has 24,",
        ),
        (["--max-macs", "5k"], 1, "mlp takes 5,696 multiply-accumulates a sample, and --max-macs is 5,000"),
        (["--max-size", "8kB"], 1, "bytes as int8 .tflite (estimated), and --max-size is 8,000"),
        (["--max-size", "8 apples"], 2, "Invalid value for '--max-size': '8 apples' is not a number of the kind"),
        (["--max-params", "-3"], 2, "Invalid value for '--max-params'"),
        (["--max-macs", "12KiB"], 2, "Invalid value for '--max-macs': '12KiB' is not a number"),
        (["--target", "rpi6"], 2, "unknown target 'rpi6'; known: rpi-zero2"),
    ],
)
def test_what_exceeds_a_limit_ends_before_training_and_leaves_nothing(npz, tmp_path, capsys, words, status, said):
    out = tmp_path / "o"
    assert main(["train", "--data", str(npz), "--arch", "mlp", "--out", str(out), "--quiet", *words]) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert captured.out == ""
    assert not out.exists()
