from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.labelled_images import LabelledImages


@pytest.fixture(scope="module")
def digits_npz(digits_split: tuple[LabelledImages, LabelledImages], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    test = digits_split[1]
    np.savez(path, x=test.images[:400], y=test.labels[:400])
    return path


@pytest.fixture
def export(keras_path: Path, digits_npz: Path, tmp_path: Path) -> Any:
    """Runs the command with defaults that work; returns the status. Keyword None leaves an option out."""

    def run(*extra: str, model: Path = keras_path, data: str = str(digits_npz), target: str | None = "rpi5") -> int:
        targets = ["--target", target] if target else []
        out = ["--out", str(tmp_path / "m.edgecnn")] if "--out" not in extra else []
        return main(["export", str(model), *targets, "--calibration", data, *out, *extra])

    return run


def failure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    """The one error line, after checking that it is one and that nothing was written."""
    captured = capsys.readouterr()
    assert captured.out == ""
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in captured.err
    assert [p for p in tmp_path.iterdir() if "m.edgecnn" in p.name or p.name.startswith(".m")] == []
    return errors[0]


@pytest.mark.slow  # loads TensorFlow and converts twice
def test_one_command_writes_a_bundle_for_two_targets(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--target", "jetson-orin", "--golden", "32") == 0
    bundle = read_bundle(tmp_path / "m.edgecnn")
    assert [(a.name, a.scheme, a.targets) for a in bundle.manifest.artifacts] == [
        ("model.tflite", "int8", ("rpi5",)),
        ("model.onnx", "int8", ("jetson-orin",)),
    ]
    assert bundle.golden is not None
    assert len(bundle.golden.labels) == 32
    captured = capsys.readouterr()
    assert re.search(r"^model\.tflite +int8 +rpi5 +\d+ +9\d\.\d\d %$", captured.out, re.MULTILINE)
    assert re.search(r"Quantization is symmetric int8, every zero point 0 .*: model\.onnx$", captured.out, re.MULTILINE)
    assert "pixels 0..255 -> 0..1 (from training.json)" in captured.err


@pytest.mark.slow  # converts
def test_json_is_one_document_that_agrees_with_the_bundle(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--calibration-method", "percentile", "--calibration-samples", "60", "--max-drop", "0.5"]
    assert export("--json", "--quiet", "--scheme", "int8", "--scheme", "float32", *options) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    document = json.loads(captured.out)
    bundle = read_bundle(tmp_path / "m.edgecnn")
    for row, entry, artifact in zip(document["artifacts"], bundle.manifest.artifacts, bundle.artifacts, strict=True):
        assert (row["name"], row["scheme"], row["bytes"]) == (entry.name, entry.scheme, len(artifact.data))
        assert row["host_accuracy"] == entry.host_accuracy
    assert document["bytes"] == (tmp_path / "m.edgecnn").stat().st_size
    assert "integer_operators" in document["artifacts"][0]["constraints"]["rpi5"]
    assert document["skipped"] == []
    assert document["calibration"] == bundle.manifest.provenance["calibration"]
    assert document["calibration"]["method"] == "percentile"
    assert document["calibration"]["audit"]["test_overlap"] == 0


@pytest.mark.slow  # converts
def test_a_float_model_that_guesses_is_told(
    export: Any,
    digits_split: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    test = digits_split[1]
    np.savez(tmp_path / "shifted.npz", x=test.images[:300], y=(test.labels[:300] + 1) % 10)
    assert export("--scheme", "float32", data=str(tmp_path / "shifted.npz")) == 0
    assert re.search(r"the float model itself gets \d\.\d\d% right, as guessing does", capsys.readouterr().err)


@pytest.mark.slow  # converts
def test_a_report_shows_every_file_and_the_path_of_the_search(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert export("--report", str(page), "--scheme", "int8", "--scheme", "float32", "--quiet") == 0
    text = page.read_text()
    bundle = read_bundle(tmp_path / "m.edgecnn")
    assert all(f"<td>{entry.name}</td>" in text for entry in bundle.manifest.artifacts)
    assert 'aria-label="Signal to quantization noise by layer"' in text
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("report", "said"), [("page.txt", "give a name ending with .html"), ("none/page.html", "there is no folder")]
)
def test_a_report_that_cannot_be_written_is_told_before_any_work(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], report: str, said: str
) -> None:
    assert export("--report", str(tmp_path / report)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "m.edgecnn").exists()


@pytest.mark.slow  # converts
def test_remarks_on_the_calibration_data_are_notes(export: Any, capsys: pytest.CaptureFixture[str]) -> None:
    # The model was trained on pixels 0..1, and would see 0..1/255.
    assert export("--input-range", "0,0.00392", "--calibration-samples", "60") == 0
    notes = capsys.readouterr().err
    assert re.search(
        r"^with pixels scaled to 0\.\.1 .* the preprocessing looks wrong; try --input-range 0,1$", notes, re.M
    )
    assert re.search(r"^60 calibration samples: their second half moved the range of '.+' by \d+\.\d%", notes, re.M)


@pytest.mark.slow  # converts, and makes the environments of two compilers at the first use
def test_compilers_write_into_a_folder_a_target(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = ("--compiler-option", "ethos-u55", "--accelerator-config=ethos-u55-256")
    status = export("--target", "ethos-u55", "--compile", *option, "--json", target="cortex-m7")
    captured = capsys.readouterr()
    if status == 3 and "cannot be made ready" in captured.err:
        pytest.skip(captured.err)
    assert status == 0
    document = json.loads(captured.out)
    assert [(row["target"], row["files"]) for row in document["compiled"]] == [
        ("cortex-m7", ["model.h", "model.cc"]),
        ("ethos-u55", ["model_vela.tflite"]),
    ]
    for row in document["compiled"]:
        assert row["folder"] == str(tmp_path / f"m.{row['target']}")
        assert {path.name for path in Path(row["folder"]).iterdir()} == {*row["files"], "report.json"}
        assert row["report"]["version"]
    assert document["compiled"][1]["report"]["accelerator"] == "Ethos_U55_256"
    assert document["compiled"][1]["report"]["cpu_operators"] == []
    bundle = read_bundle(tmp_path / "m.edgecnn")
    told = [{name: value for name, value in row.items() if name != "folder"} for row in document["compiled"]]
    assert bundle.manifest.provenance["compiled"] == told
    assert "compiling 2/2: model.tflite for ethos-u55 with vela" in captured.err


@pytest.mark.slow  # converts
def test_a_compiler_that_is_missing_is_a_remark_and_where_demanded_status_3(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert export("--compile", target="coral-edgetpu") == 3
    assert "error: edgetpu_compiler is not on PATH; install " in failure(capsys, tmp_path)
    assert export(target="coral-edgetpu") == 0
    captured = capsys.readouterr()
    assert "not compiled for coral-edgetpu: edgetpu_compiler is not on PATH" in captured.err
    assert "compiled" not in read_bundle(tmp_path / "m.edgecnn").manifest.provenance
    assert export("--no-compile", target="coral-edgetpu") == 0
    assert "edgetpu_compiler" not in capsys.readouterr().err


@pytest.mark.slow  # converts
def test_the_given_input_range_overrides_training_json(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--input-range", "-1,1", "--scheme", "float32") == 0
    assert read_bundle(tmp_path / "m.edgecnn").manifest.preprocessing.mean == (127.5,)
    assert "pixels 0..255 -> -1..1 (from the given input range)" in capsys.readouterr().err


@pytest.mark.slow  # converts
def test_the_same_model_as_onnx_or_tflite_gives_the_same_classifier(
    export: Any, keras_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from converters.metadata.onnx_metadata import add_onnx_metadata
    from converters.schemes.onnx_float32 import convert_to_onnx_float32
    from converters.schemes.tflite_float32 import convert_to_tflite_float32
    from converters.sources.load import load_classifier

    source = load_classifier(keras_path)
    assert source.labels is not None
    assert source.preprocessing is not None
    onnx = add_onnx_metadata(
        convert_to_onnx_float32(source), labels=source.labels, preprocessing=source.preprocessing, producer="test"
    )
    (tmp_path / "m.onnx").write_bytes(onnx)
    (tmp_path / "m.tflite").write_bytes(convert_to_tflite_float32(source))
    assert export() == 0
    first = read_bundle(tmp_path / "m.edgecnn")
    # The .tflite says nothing of pixels: a bare file wants the option, the .onnx has it inside.
    for name, options in (("m.onnx", []), ("m.tflite", ["--input-range", "0,1"])):
        assert export(*options, model=tmp_path / name) == 0
        second = read_bundle(tmp_path / "m.edgecnn")
        assert second.manifest.labels == first.manifest.labels
        assert second.manifest.preprocessing == first.manifest.preprocessing
        before, after = (bundle.manifest.artifacts[0].host_accuracy for bundle in (first, second))
        assert before is not None
        assert after is not None
        assert abs(before - after) < 0.01
    assert "pixels 0..255 -> 0..1 (from m.onnx)" in capsys.readouterr().err


@pytest.mark.slow  # converts
def test_a_drop_beyond_the_limit_is_status_1_and_keeps_the_old_file(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from converters import artifact_making
    from converters import export as export_module

    real = export_module.share_right
    # Every file after the float model, which is measured first, seems to get nothing right.
    shares = iter([real])
    for module in (export_module, artifact_making):
        monkeypatch.setattr(module, "share_right", lambda *a: next(shares, lambda *_: 0.0)(*a))
    (tmp_path / "m.edgecnn").write_bytes(b"old")
    assert export("--max-drop", "0.01") == 1
    assert (tmp_path / "m.edgecnn").read_bytes() == b"old"
    assert re.search(r"error: model\.tflite \(int8\) gets 0\.00% .*allowed 1\.00%", capsys.readouterr().err)


def test_ctrl_c_leaves_nothing(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from converters import export as export_module

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_module, "choose_calibration", interrupt)
    assert export() == 130
    assert failure(capsys, tmp_path) == "error: interrupted"


def test_bad_usage_is_one_line_and_needs_no_tensorflow(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import converters.sources.load

    monkeypatch.setattr(converters.sources.load, "load_classifier", lambda _: 1 / 0)
    for arguments, options, message in (
        (["--target", "rpi6"], {}, "unknown target 'rpi6'; known: rpi-zero2, rpi3"),
        (["--scheme", "int4"], {}, "target 'rpi5' does not take scheme 'int4'; it takes int8, float32"),
        ([], {"target": None}, "Missing option '--target'"),
        (["--out", str(tmp_path / "gone" / "m.edgecnn")], {}, "gone; make it first"),
        (["--out", str(tmp_path / "m.tflite")], {}, "give a name ending with .edgecnn"),
        (["--max-drop", "2"], {}, "2.0 is not in the range 0<=x<=1"),
        (["--input-range", "5"], {}, "'5' is not two numbers LO,HI"),
        (["--golden", "0"], {}, "0 is not in the range x>=1"),
        (["--compile"], {}, "--compile: rpi5 have no compiler; see 'edge-cnn targets'"),
        (["--compiler-option", "rpi5", "-x"], {}, "--compiler-option rpi5: that is no target of this export with a"),
        (["--calibration-method", "max"], {}, "'max' is not one of 'min-max', 'percentile', 'mse', 'entropy'"),
    ):
        assert export(*arguments, **options) == 2
        assert message in failure(capsys, tmp_path)


def test_a_bad_model_is_one_line(
    export: Any, keras_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncated = tmp_path / "cut.keras"
    truncated.write_bytes(keras_path.read_bytes()[:5000])
    foreign = tmp_path / "x.pt"
    foreign.write_bytes(b"PK")
    for suffix in ("tflite", "onnx", "h5", "hdf5"):
        (tmp_path / f"x.{suffix}").write_bytes(bytes(range(256)) * 9)
    for model, message in (
        (tmp_path / "gone.keras", "no model at "),
        (truncated, "is not a whole .keras file (5000 bytes)"),
        (foreign, "is not a model that export reads; give a .keras, .h5, .onnx or .tflite file"),
        (tmp_path / "x.tflite", "is not a TFLite file"),
        (tmp_path / "x.onnx", "x.onnx"),
        (tmp_path / "x.h5", "is not an HDF5 file"),
        (tmp_path / "x.hdf5", "is not an HDF5 file"),
        (tmp_path, "is a folder without saved_model.pb"),
    ):
        assert export(model=model) == 2
        assert message in failure(capsys, tmp_path)


def test_bad_data_is_one_line(
    export: Any, keras_path: Path, digits_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = (np.load(digits_npz)[key] for key in "xy")
    cases = {
        "few": (x[:16], np.arange(16) % 5, "training samples, at least 20 are needed"),
        "constant": (np.zeros_like(x), y, "all the same"),
        "empty": (x[:0], y[:0], "empty"),
        "noise": (np.random.default_rng(0).integers(0, 256, x.shape, dtype=np.uint8), y, "look random"),
        "floats": (np.full((60, 5, 5, 1), 0.5, np.float32), np.arange(60) % 10, "(5, 5, 1)"),
        "nan": (np.full((60, 28, 28, 1), np.nan, np.float32), np.arange(60) % 10, "NaN"),
    }
    for name, (images, labels, message) in cases.items():
        np.savez(tmp_path / f"{name}.npz", x=images, y=labels)
        assert export(data=str(tmp_path / f"{name}.npz")) == 2
        assert message in failure(capsys, tmp_path)
    shutil.copy(keras_path, tmp_path / "bare.keras")
    np.savez(tmp_path / "two.npz", x=x[:60], y=np.arange(60) % 2)
    assert export(data=str(tmp_path / "two.npz"), model=tmp_path / "bare.keras") == 2
    assert "the data has 2 classes (0, 1), the model has 10" in failure(capsys, tmp_path)
    assert export(data="no-such-data") == 2
    assert "unknown data set 'no-such-data'" in failure(capsys, tmp_path)
    assert export("--calibration-samples", "5") == 2
    assert "5 calibration samples are too few" in failure(capsys, tmp_path)


def test_how_labels_were_read_is_told(
    export: Any, digits_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = (np.load(digits_npz)[key] for key in "xy")
    np.savez(tmp_path / "one_hot.npz", x=x[:100], y=np.eye(10)[y[:100]])
    assert export("--scheme", "float32", data=str(tmp_path / "one_hot.npz")) == 0
    assert "data: y is one-hot (100, 10): the place of the 1 is the class" in capsys.readouterr().err


def test_images_that_are_no_images_are_named_and_counted(
    export: Any, digits_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    x, y = (np.load(digits_npz)[key] for key in "xy")
    folder = tmp_path / "images"
    for i, (image, label) in enumerate(zip(x[:100], y[:100], strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / str(label) / f"{i}.png")
    (folder / "0" / "broken.png").write_bytes(b"no image")
    assert export("--json", "--scheme", "float32", data=str(folder)) == 0
    captured = capsys.readouterr()
    assert "broken.png" in captured.err
    assert [Path(p).name for p in json.loads(captured.out)["skipped"]] == ["broken.png"]
    provenance = read_bundle(tmp_path / "m.edgecnn").manifest.provenance
    assert provenance["data"]["name"] == "images"
    assert str(tmp_path) not in json.dumps(provenance)


@pytest.mark.slow  # loads TensorFlow and converts
def test_a_runtime_elsewhere_that_does_not_take_the_file_is_exit_1_and_nothing_is_written(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_cnn.device.runtimes import release_facts

    old = dict(release_facts.TFLITE_RUNTIME["2.7.0"], CONV_2D=1)
    monkeypatch.setitem(release_facts.TFLITE_RUNTIME, "2.7.0", old)
    assert export("--for", "tflite-runtime==2.7.0") == 1
    said = failure(capsys, tmp_path)
    assert "model.tflite does not run on tflite-runtime==2.7.0: CONV_2D version 3" in said


@pytest.mark.slow  # loads TensorFlow and converts
def test_runtimes_of_the_target_and_those_asked_for_are_in_the_document(
    export: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--for", "tflite-runtime==2.8.0", "--json") == 0
    (artifact,) = json.loads(capsys.readouterr().out)["artifacts"]
    assert artifact["preflight"] == {"litert": [], "tflite-runtime==2.14.0": [], "tflite-runtime==2.8.0": []}


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("torch==2", "unknown runtime 'torch==2'"),
        ("onnxruntime==1.20", "--for onnxruntime==1.20: it loads .onnx files, and no target here takes those"),
    ],
)
def test_a_runtime_that_cannot_be_asked_is_told_before_any_work(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], release: str, message: str
) -> None:
    assert export("--for", release) == 2
    assert message in failure(capsys, tmp_path)
