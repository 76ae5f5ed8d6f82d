import pytest

from edge_cnn.core.artifact import read_artifact
from edge_cnn.core.errors import InputError, ModelError
from edge_cnn.core.targets import find_target


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.tflite", b"", "empty"),
        ("m.tflite", b"<html>not a model</html>", "not a TFLite file"),
        ("m.onnx", b"<html>not a model</html>", "not an ONNX file"),
        ("m.tflite", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("m.pt", b"PK", "neither"),
        ("m.keras", b"PK", r"m\.keras is a Keras file, and .+; convert it with 'edge-cnn export' first"),
        ("m.h5", b"\x89HDF", r"m\.h5 is a Keras file, and .+; convert it with 'edge-cnn export' first"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_the_reason(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_artifact(tmp_path / name)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(ModelError, match="no model at"):
        read_artifact(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="is a folder"):
        read_artifact(tmp_path)


def test_an_unknown_target_lists_the_known_ones():
    with pytest.raises(InputError, match="rpi5"):
        find_target("rpi6")
