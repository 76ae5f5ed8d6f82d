import dataclasses
import io
import json
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
