import dataclasses
import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle, parse_bundle, read_bundle
from edge_cnn.core.errors import BundleError, InputError
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.npz import pack_npz, stored_member
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.samples import GoldenSamples, ReplaySamples
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.core.tolerance import default_tolerances


def make_bundle() -> Bundle:
    artifact = Artifact("model.tflite", "tflite", b"\0\0\0\0TFL3" + bytes(100))
    params = QuantizationParams((float(np.float32(1 / 255)),), (-128,))
    entry = ArtifactEntry(
        "model.tflite",
        "tflite",
        "int8",
        ("rpi5",),
        artifact.sha256,
        TensorSpec("input", (1, 2, 2, 1), "int8", params),
        TensorSpec("scores", (1, 2), "int8", QuantizationParams((1 / 256,), (-128,))),
        default_tolerances("tflite", quantized=True, recorded_by="litert-ref"),
        0.9,
    )
    manifest = Manifest(("a", "b"), Preprocessing(2, 2, 1), (entry,), 0.95, {"seed": 0})
    codes = np.zeros((3, 2), np.int8)
    golden = GoldenSamples(
        np.zeros((3, 2, 2, 1), np.uint8),
        np.zeros(3, np.int64),
        np.full((3, 2), 0.5, np.float32),
        {"model.tflite": codes},
        {"model.tflite": codes + 1},
    )
    replay = ReplaySamples(np.array([0, 1]), {"model.tflite": np.ones((2, 4), np.int8)})
    return Bundle(manifest, (artifact,), golden, replay)


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            info = stored_member(name)
            info.compress_type = compression
            archive.writestr(info, data)
    return buffer.getvalue()


def test_what_is_written_comes_back(tmp_path):
    bundle = make_bundle()
    bundle.write(tmp_path / "m.edgecnn")
    back = read_bundle(tmp_path / "m.edgecnn")
    assert back.manifest == bundle.manifest
    assert back.artifacts == bundle.artifacts
    assert back.golden is not None
    assert back.replay is not None
    np.testing.assert_array_equal(back.golden.logits["model.tflite"], 1)
    np.testing.assert_array_equal(back.replay.embeddings["model.tflite"], 1)
    assert [p.name for p in tmp_path.iterdir()] == ["m.edgecnn"]


def test_the_same_bundle_gives_the_same_bytes():
    assert make_bundle().to_bytes() == make_bundle().to_bytes()


def test_nothing_is_compressed_and_no_clock_shows():
    with zipfile.ZipFile(io.BytesIO(make_bundle().to_bytes())) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_a_wrong_hash_is_refused():
    members = members_of(make_bundle().to_bytes())
    members["model.tflite"] = members["model.tflite"][:-1] + b"\1"
    with pytest.raises(BundleError, match="SHA-256"):
        parse_bundle(zip_of(members), "m.edgecnn")


@pytest.mark.parametrize(
    "name", ["evil.py", "../model.tflite", "/etc/passwd", "model.tflite.bak", "a/model.tflite", "model-A.tflite"]
)
def test_an_unexpected_member_is_refused(name):
    with pytest.raises(BundleError, match="unexpected member"):
        parse_bundle(zip_of(members_of(make_bundle().to_bytes()) | {name: b"x"}), "m.edgecnn")


def test_a_model_that_the_manifest_does_not_name_is_refused():
    with pytest.raises(BundleError, match="not in the manifest"):
        parse_bundle(zip_of(members_of(make_bundle().to_bytes()) | {"model-extra.tflite": b"x"}), "m.edgecnn")


def test_a_linked_member_is_refused():
    buffer = io.BytesIO(make_bundle().to_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        info = stored_member("model.onnx")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BundleError, match="link"):
        parse_bundle(buffer.getvalue(), "m.edgecnn")


def test_a_compressed_member_is_refused_before_it_is_unpacked():
    with pytest.raises(BundleError, match="compressed"):
        parse_bundle(zip_of(members_of(make_bundle().to_bytes()), zipfile.ZIP_DEFLATED), "m.edgecnn")


def test_an_oversized_member_is_refused(monkeypatch):
    monkeypatch.setattr("edge_cnn.core.bundle.MAX_MEMBER_BYTES", 50)
    with pytest.raises(BundleError, match="limit is 50"):
        parse_bundle(make_bundle().to_bytes(), "m.edgecnn")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile warns of what the test makes on purpose
def test_a_member_that_stands_twice_is_refused():
    buffer = io.BytesIO(make_bundle().to_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(stored_member("manifest.json"), "{}")
    with pytest.raises(BundleError, match="two members"):
        parse_bundle(buffer.getvalue(), "m.edgecnn")


def test_every_truncation_is_refused():
    data = make_bundle().to_bytes()
    for length in range(0, len(data), 97):
        with pytest.raises(BundleError):
            parse_bundle(data[:length], "m.edgecnn")


def test_flipped_bits_are_refused_or_harmless():
    data = bytearray(make_bundle().to_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        try:
            bundle = parse_bundle(bytes(damaged), "m.edgecnn")
        except BundleError:
            continue
        # What is still accepted holds the untouched model: ZIP's own checksum covers every member.
        assert bundle.artifacts == make_bundle().artifacts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 99}, "update edge_cnn"),
        ({"artifacts": []}, "no artifact"),
        ({"artifacts": [{}]}, "KeyError"),
        ({"preprocessing": None}, "TypeError"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(change, said):
    members = members_of(make_bundle().to_bytes())
    members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | change).encode()
    with pytest.raises(BundleError, match=said):
        parse_bundle(zip_of(members), "m.edgecnn")


def test_pickled_arrays_are_refused():
    buffer = io.BytesIO()
    np.savez(buffer, inputs=np.array([{}], object), labels=np.zeros(1), float_outputs=np.zeros((1, 2)))
    members = members_of(make_bundle().to_bytes()) | {"golden.npz": buffer.getvalue()}
    with pytest.raises(BundleError, match=r"golden\.npz"):
        _ = parse_bundle(zip_of(members), "m.edgecnn").golden


def test_golden_arrays_of_different_lengths_are_refused():
    arrays = dataclasses.replace(make_bundle().golden, labels=np.zeros(7, np.int64)).to_arrays()
    members = members_of(make_bundle().to_bytes()) | {"golden.npz": pack_npz(arrays)}
    with pytest.raises(BundleError, match="different lengths"):
        _ = parse_bundle(zip_of(members), "m.edgecnn").golden


def test_a_missing_file_and_a_missing_folder_are_said(tmp_path):
    with pytest.raises(BundleError, match="no bundle at"):
        read_bundle(tmp_path / "none.edgecnn")
    with pytest.raises(InputError, match="cannot write"):
        make_bundle().write(tmp_path / "none" / "m.edgecnn")


def manifest_with(change) -> bytes:
    """The bundle with a manifest that `change` edited, as JSON value or as text."""
    members = members_of(make_bundle().to_bytes())
    value = json.loads(members["manifest.json"])
    text = change(value)
    members["manifest.json"] = (text if isinstance(text, str) else json.dumps(value)).encode()
    return zip_of(members)


def put(*path, to):
    """An edit of a JSON value: the last of `path` becomes `to`."""

    def change(value):
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to

    return change


def bounds(**values):
    def change(value):
        value["artifacts"][0]["tolerances"]["xnnpack"] |= values

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("labels", to=["a", "b", "c"]), "3 labels for the 2 classes"),
        (put("labels", to=["a"]), "1 labels for the 2 classes"),
        (put("preprocessing", "height", to=float("inf")), "Infinity is not a finite number"),
        (put("preprocessing", "std", to=[float("nan")]), "NaN is not a finite number"),
        (put("provenance", to={"x": float("-inf")}), "not a finite number"),
        (lambda value: json.dumps(value).replace("0.95", "1e999", 1), "1e999 is not a finite number"),
        (put("preprocessing", "height", to=8193), "8193x2 pixels"),
        (put("preprocessing", "width", to=0), "2x0 pixels"),
        (put("preprocessing", "channels", to=2), "2 channels"),
        (put("preprocessing", "height", to=3), r"takes \(1, 2, 2, 1\), its images are \(3, 2, 1\)"),
        (put("artifacts", 0, "format", to="onnx"), "format 'onnx'"),
        (put("artifacts", 0, "format", to="exe"), "format 'exe'"),
        (lambda value: value["artifacts"].append(value["artifacts"][0]), "twice"),
        (put("artifacts", 0, "input", "dtype", to="object"), "element type 'object'"),
        (put("artifacts", 0, "input", "quantization", "zero_points", to=[128]), "zero points"),
        (put("artifacts", 0, "input", "quantization", "scales", to=[0.0]), "not positive"),
        (put("artifacts", 0, "input", "quantization", "scales", to=[0.1, 0.2]), "2 scales with 1 zero points"),
        (put("artifacts", 0, "host_accuracy", to=1.5), "share from 0 to 1"),
        (put("host_accuracy", to=-0.1), "share from 0 to 1"),
        (put("artifacts", 0, "host_accuracy", to=10**400), "OverflowError"),
        (bounds(max_lsb=None), "either max_lsb or max_abs"),
        (bounds(max_abs=0.1), "either max_lsb or max_abs"),
        (bounds(max_lsb=-1), "0 or more"),
        (bounds(max_lsb=1.5), "not a number: 1.5"),
        (bounds(max_lsb=None, max_abs=-0.1), "0 or more"),
        (bounds(max_lsb=None, max_abs="1"), "not a number: '1'"),
        (bounds(min_top1_agreement=-1), "min_top1_agreement must be a share"),
        (bounds(max_accuracy_drop=2), "max_accuracy_drop must be a share"),
    ],
)
def test_a_manifest_whose_parts_contradict_each_other_is_one_clear_line(change, said):
    with pytest.raises(BundleError, match=said) as error:
        parse_bundle(manifest_with(change), "m.edgecnn")
    assert str(error.value).startswith("manifest.json: ")
    assert "\n" not in str(error.value)


def test_a_manifest_for_channels_first_and_dynamic_sizes_is_taken():
    parse_bundle(manifest_with(put("artifacts", 0, "input", "shape", to=[1, 1, 2, 2])), "m.edgecnn")
    parse_bundle(manifest_with(put("artifacts", 0, "input", "shape", to=[-1, -1, -1, 1])), "m.edgecnn")
    parse_bundle(manifest_with(put("artifacts", 0, "output", "shape", to=[-1, -1])), "m.edgecnn")


@pytest.mark.parametrize(
    ("member", "changes", "said"),
    [
        ("golden.npz", {"labels": np.full(3, 2)}, r"labels 2\.\.2 for 2 classes"),
        ("golden.npz", {"labels": np.full(3, -1)}, r"labels -1\.\.-1"),
        ("golden.npz", {"labels": np.zeros(3)}, "not integers"),
        ("golden.npz", {"labels": np.zeros((3, 1), int)}, "not integers"),
        ("golden.npz", {"labels": np.int64(0)}, "different lengths"),
        ("golden.npz", {"inputs": np.zeros((3, 2, 2, 1), np.int16)}, "inputs are int16"),
        ("golden.npz", {"inputs": np.zeros((3, 2, 3, 1), np.uint8)}, "inputs are uint8"),
        ("golden.npz", {"inputs": np.full((3, 2, 2, 1), np.nan, np.float32)}, "NaN"),
        ("golden.npz", {"outputs/model.tflite": np.zeros((3, 5), np.int8)}, "for 2 classes"),
        ("golden.npz", {"outputs/model.tflite": np.full((3, 2), "x")}, "not numbers"),
        ("golden.npz", {"logits/model.tflite": np.full((3, 2), np.nan, np.float32)}, "NaN"),
        ("replay.npz", {"labels": np.array([0, 2])}, "for 2 classes"),
        ("replay.npz", {"embeddings/model.tflite": np.zeros(2, np.int8)}, "not numbers"),
    ],
)
def test_samples_that_do_not_fit_the_manifest_are_refused(member, changes, said):
    bundle = make_bundle()
    samples = bundle.golden if member == "golden.npz" else bundle.replay
    buffer = io.BytesIO()
    np.savez(buffer, **(samples.to_arrays() | changes))
    back = parse_bundle(zip_of(members_of(bundle.to_bytes()) | {member: buffer.getvalue()}), "m.edgecnn")
    with pytest.raises(BundleError, match=said):
        _ = back.golden if member == "golden.npz" else back.replay


def test_all_scalars_are_no_samples():
    arrays = dict.fromkeys(make_bundle().golden.to_arrays(), np.int64(0))
    with pytest.raises(BundleError, match="different lengths"):
        GoldenSamples.from_arrays(arrays, 2, (2, 2, 1))


def test_bytes_between_and_before_the_members_are_refused():
    data = make_bundle().to_bytes()
    start = len(data) - 22
    directory = int.from_bytes(data[start + 16 : start + 20], "little")
    # In front of the directory: its offset in the end record moves along.
    gap = data[:directory] + bytes(8) + data[directory:start]
    end = data[start : start + 16] + (directory + 8).to_bytes(4, "little") + data[start + 20 :]
    with pytest.raises(BundleError, match="do not fill"):
        parse_bundle(gap + end, "m.edgecnn")
    shifted = bytearray(bytes(8) + data[:directory] + data[directory:start] + end)
    position = directory + 8
    while shifted[position : position + 4] == b"PK\1\2":
        name = int.from_bytes(shifted[position + 28 : position + 30], "little")
        header = int.from_bytes(shifted[position + 42 : position + 46], "little")
        shifted[position + 42 : position + 46] = (header + 8).to_bytes(4, "little")
        position += 46 + name
    with pytest.raises(BundleError, match="without gaps"):
        parse_bundle(bytes(shifted), "m.edgecnn")


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse.edgecnn"
    with path.open("wb") as file:
        file.truncate(2**32)
    with pytest.raises(BundleError, match="4294967296 bytes, a bundle at most 4294967295"):
        read_bundle(path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.edgecnn")
    with pytest.raises(BundleError, match="pipe or a device"):
        read_bundle(tmp_path / "pipe.edgecnn")
    with pytest.raises(BundleError, match="cannot read"):
        read_bundle(tmp_path)


def test_reading_a_bundle_imports_none_of_the_slow_modules():
    code = (
        "import sys, edge_cnn.core.bundle\nprint([m for m in ('zipfile', 'pathlib', 'tempfile') if m in sys.modules])"
    )
    # Coverage measures children too when these are set, and imports pathlib for that.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert child.stdout.strip() == "[]"
