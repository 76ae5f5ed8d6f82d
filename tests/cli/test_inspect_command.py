import json

import pytest

from edge_cnn.cli.main import main


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_a_file_shows_ops_tensors_head_and_runtimes(artifacts, tmp_path, capsys, key):
    path = tmp_path / f"m.{artifacts[key].format}"
    path.write_bytes(artifacts[key].data)
    assert main(["inspect", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == artifacts[key].format
    assert document["bytes"] == path.stat().st_size
    assert document["sha256"] == artifacts[key].sha256
    assert document["head"]["classes"] == 10
    assert set(document["runtimes"].values()) == {"runs"}
    convolutions = [op for op in document["ops"] if op["name"] in ("CONV_2D", "Conv")]
    assert convolutions[0]["count"] == 4
    assert all(op["version"] >= 1 for op in document["ops"])


def test_a_bundle_shows_its_parts(bundle_path, capsys):
    assert main(["inspect", str(bundle_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == "edgecnn"
    assert len(document["artifacts"]) == 4
    assert document["golden_samples"] == 256
    assert document["head"]["features"] == document["artifacts"][0]["head"]["features"]


def test_text_is_for_a_person(bundle_path, capsys):
    assert main(["inspect", str(bundle_path)]) == 0
    text = capsys.readouterr().out
    assert "FULLY_CONNECTED" in text
    assert "runs" in text


def test_a_file_that_no_runtime_takes_says_so(artifacts, tmp_path, capsys):
    data = bytearray(artifacts["int8.tflite"].data)
    # An operator code that no runtime knows: the builtin code CONV_2D is 3 in a 1-byte and a 4-byte field.
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytes(data)))
    model.operatorCodes[0].builtinCode = 250
    model.operatorCodes[0].deprecatedBuiltinCode = 127
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "odd.tflite"
    path.write_bytes(bytes(builder.Output()))
    assert main(["inspect", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(verdict.startswith("refuses: ") for verdict in document["runtimes"].values())


def test_a_damaged_file_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "m.tflite").write_bytes(b"\x20\0\0\0TFL3" + bytes(20))
    assert main(["inspect", str(tmp_path / "m.tflite")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_runtime_that_is_not_here_is_answered_for(artifacts, tmp_path, capsys):
    path = tmp_path / "m.tflite"
    path.write_bytes(artifacts["int8.tflite"].data)
    assert main(["inspect", str(path), "--for", "tflite-runtime==2.14.0", "--for", "tflm"]) == 0
    out = capsys.readouterr().out
    assert "tflite-runtime==2.14.0: has its operators at their versions" in out
    assert "tflm: has its operators" in out


def test_a_runtime_that_does_not_take_the_file_is_exit_1_with_the_operators(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    made = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert main(["inspect", str(path), "--for", "onnxruntime==1.11.0", "--for", "onnxruntime"]) == 1
    assert "onnxruntime==1.11.0: will not run it: opset 17: onnxruntime 1.11.0 has up to 16" in capsys.readouterr().out
    assert main(["inspect", str(path), "--for", "onnxruntime==1.11.0", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["preflight"]["onnxruntime==1.11.0"]) == 1


def test_a_bundle_answers_for_the_runtimes_of_its_targets_and_for_those_of_each_format(bundle_path, capsys):
    assert main(["inspect", str(bundle_path), "--json", "--for", "onnxruntime==1.20.0"]) == 0
    parts = {part["name"]: part["preflight"] for part in json.loads(capsys.readouterr().out)["artifacts"]}
    assert parts["model.tflite"] == {"litert": [], "tflite-runtime==2.14.0": []}
    assert "onnxruntime==1.20.0" in parts["model.onnx"]


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("litert==0.9", "nothing is known of litert 0.9"),
        ("onnxruntime", "loads .onnx files"),
        ("tvm", "unknown runtime"),
    ],
)
def test_a_runtime_that_cannot_be_answered_for_is_one_clear_line(artifacts, tmp_path, capsys, release, message):
    path = tmp_path / "m.tflite"
    path.write_bytes(artifacts["int8.tflite"].data)
    assert main(["inspect", str(path), "--for", release]) == 2
    assert message in capsys.readouterr().err
