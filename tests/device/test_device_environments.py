"""Every device-side command in environments where TensorFlow, Keras, SciPy and scikit-learn are not installed."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = ("tensorflow", "keras", "scipy", "sklearn")

pytestmark = pytest.mark.slow


def python_of(name: str, runtime: str) -> Path:
    python = ROOT / name / "bin" / "python"
    probe = [str(python), "-c", f"import edge_cnn, {runtime}"]
    if not python.exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"{name} with {runtime} is not there (tflite-runtime needs Python 3.11, Linux); make device-envs")
    return python


@pytest.fixture(scope="module")
def device_python() -> Path:
    return python_of(".venv-device", "ai_edge_litert")


@pytest.fixture(scope="module")
def tflite_python() -> Path:
    return python_of(".venv-tflite", "tflite_runtime")


@pytest.fixture(scope="module")
def files(tmp_path_factory, bundle_path, artifacts, digits_split):
    """A bundle, its int8 TFLite file and inverted digits, as they lie on a device."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "m.edgecnn").write_bytes(bundle_path.read_bytes())
    (folder / "m.tflite").write_bytes(artifacts["int8.tflite"].data)
    (folder / "m.onnx").write_bytes(artifacts["int8.onnx"].data)
    test = digits_split[1]
    np.savez(folder / "d.npz", x=255 - test.images[:200], y=test.labels[:200])
    return folder


def edge_cnn(python: Path, folder: Path, *words: str) -> list[dict]:
    """Run one command in that environment; its JSON documents, after checking what it imported."""
    code = (
        "import sys; from edge_cnn.cli.main import main; status = main(sys.argv[1:]);"
        f"found = [n for n in {FRAMEWORKS!r} if n in sys.modules];"
        "sys.stderr.write('imported: ' + ','.join(found)); sys.exit(status)"
    )
    command = [str(python), "-c", code, *words, "--json", "--quiet"]
    child = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stderr.endswith("imported: ")
    return [json.loads(line) for line in child.stdout.splitlines()]


def test_no_training_framework_is_installed_there(device_python):
    code = f"import importlib.util as u; print([n for n in {FRAMEWORKS!r} if u.find_spec(n)])"
    assert subprocess.run([device_python, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "words",
    [
        ["run", "m.edgecnn", "d.npz"],
        ["run", "m.onnx", "d.npz"],
        ["inspect", "m.edgecnn"],
        ["verify", "m.edgecnn"],
        ["bench", "m.tflite", "--repeats", "20"],
        ["targets"],
        ["finetune", "m.edgecnn", "--data", "d.npz", "--out", "t.edgecnn"],
        ["finetune", "m.onnx", "--data", "d.npz", "--out", "t.onnx"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_device_side_command_works_without_a_training_framework(device_python, files, words):
    assert edge_cnn(device_python, files, *words)


def test_commands_of_the_host_say_what_is_missing(device_python, files):
    command = [
        str(device_python),
        "-m",
        "edge_cnn",
        "train",
        "--data",
        "d.npz",
        "--arch",
        "lenet",
        "--out",
        "t",
        "--quiet",
    ]
    child = subprocess.run(command, capture_output=True, text=True, cwd=files, check=False)
    assert child.returncode == 3
    assert "pip install 'edge-cnn[host]'" in child.stderr
    assert child.stderr.count("\n") == 1
    assert not (files / "t").exists()


def test_a_file_tuned_elsewhere_runs_in_tflite_runtime(device_python, tflite_python, files):
    edge_cnn(device_python, files, "finetune", "m.tflite", "--data", "d.npz", "--out", "elsewhere.tflite")
    *_, here = edge_cnn(device_python, files, "run", "elsewhere.tflite", "d.npz")
    *_, there = edge_cnn(tflite_python, files, "run", "elsewhere.tflite", "d.npz")
    assert there["accuracy"] == pytest.approx(here["accuracy"], abs=0.01)


def test_the_whole_of_fine_tuning_works_on_tflite_runtime_and_verifies_on_litert(tflite_python, files):
    from edge_cnn.verify.replay import verify

    words = ["--data", "d.npz", "--out", "there.edgecnn", "--runtime", "tflite-runtime"]
    (result,) = edge_cnn(tflite_python, files, "finetune", "m.edgecnn", *words)
    assert result["after"]["holdout_accuracy"] > result["before"]["holdout_accuracy"]
    report = verify(files / "there.edgecnn", "local:litert")
    report.check()
