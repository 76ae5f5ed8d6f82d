import os
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import BundleError, DataError, InputError, ModelError, RuntimeUnavailableError
from edge_cnn.device.opening import classifier_of_file, open_classifier
from edge_cnn.device.runtimes.table import open_runtime

MLPERF = Path(os.environ["EDGE_CNN_DATA"]) / "mlperf_tiny" if "EDGE_CNN_DATA" in os.environ else None
needs_mlperf = pytest.mark.skipif(
    MLPERF is None, reason="the MLPerf Tiny models are not here; EDGE_CNN_DATA=FOLDER names where they are"
)


def bare_litert(data: bytes, images: np.ndarray) -> np.ndarray:
    """Scores of int8 pixels minus 128 through an interpreter, with nothing of this project in between."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = outputs["quantization"]
    rows = []
    for image in images:
        interpreter.set_tensor(inputs["index"], (image.astype(np.int16) - 128).astype(np.int8)[None])
        interpreter.invoke()
        rows.append((interpreter.get_tensor(outputs["index"])[0].astype(np.float32) - zero_point) * scale)
    return np.array(rows)


def test_scores_are_those_of_a_bare_interpreter(bundle_path, artifacts, digits_split):
    images = digits_split[1].images[:50]
    expected = bare_litert(artifacts["int8.tflite"].data, images)
    predictions = open_classifier(bundle_path).predict(images)
    np.testing.assert_array_equal(predictions.scores, expected)
    assert predictions.scores.dtype == np.float32
    assert predictions.labels == [str(i) for i in expected.argmax(axis=1)]


def test_scores_of_an_onnx_file_are_those_of_a_bare_session(artifacts, digits_split):
    import onnxruntime

    images = digits_split[1].images[:50]
    session = onnxruntime.InferenceSession(artifacts["int8.onnx"].data, providers=["CPUExecutionProvider"])
    inputs = (images.astype(np.float64) / 255).astype(np.float32).transpose(0, 3, 1, 2)
    (expected,) = session.run(None, {session.get_inputs()[0].name: inputs})
    np.testing.assert_allclose(classifier_of_file(artifacts["int8.onnx"]).predict(images).scores, expected, atol=1e-6)


@pytest.mark.parametrize("key", ["int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx"])
def test_a_bare_file_answers_as_it_does_in_its_bundle(bundle_path, artifacts, digits_split, tmp_path, key):
    artifact = artifacts[key]
    path = tmp_path / f"copy.{artifact.format}"
    path.write_bytes(artifact.data)
    bare = open_classifier(path)
    assert bare.preprocessing_source == "the file's metadata"
    bundled = open_classifier(bundle_path, artifact=artifact.name)
    images = digits_split[1].images[:20]
    np.testing.assert_array_equal(bare.predict(images).scores, bundled.predict(images).scores)
    assert bare.labels == bundled.labels


def test_probabilities_sum_to_one_and_top_is_sorted(bundle_path, digits_split):
    predictions = open_classifier(bundle_path).predict(digits_split[1].images[:20])
    np.testing.assert_allclose(predictions.scores.sum(axis=1), 1, atol=0.03)
    for best in predictions.top(3):
        scores = [score for _, score in best]
        assert len(best) == 3
        assert scores == sorted(scores, reverse=True)


def test_an_empty_batch_gives_no_predictions(bundle_path):
    for runtime in ("litert", "onnxruntime"):
        classifier = open_classifier(bundle_path, runtime=runtime)
        assert classifier.predict(np.empty((0, 28, 28, 1), np.uint8)).scores.shape == (0, 10)


def test_an_input_range_overrides_what_the_file_says(bundle_path, digits_split):
    classifier = open_classifier(bundle_path, input_range=(0, 255))
    assert classifier.preprocessing_source == "the given input range"
    images = digits_split[1].images[:20]
    # Pixels up to 255 where 1 was meant: everything saturates, so the scores must change.
    assert not np.array_equal(classifier.predict(images).scores, open_classifier(bundle_path).predict(images).scores)


def test_the_runtime_chooses_the_artifact(bundle_path):
    assert open_classifier(bundle_path, runtime="onnxruntime").artifact.format == "onnx"
    assert open_classifier(bundle_path, runtime="litert-ref").runtime.kernels().family == "litert-ref"


def test_kernels_are_told_as_they_ran(bundle_path):
    assert open_classifier(bundle_path, runtime="litert").runtime.kernels().family == "xnnpack"
    shares = open_classifier(bundle_path, runtime="litert").runtime.kernels().shares
    assert sum(shares.values()) == pytest.approx(1)


def test_saving_gives_the_same_bytes_back(bundle_path, tmp_path):
    classifier = open_classifier(bundle_path)
    classifier.save(tmp_path / "copy.edgecnn")
    classifier.save(tmp_path / "copy.tflite")
    assert (tmp_path / "copy.edgecnn").read_bytes() == bundle_path.read_bytes()
    assert (tmp_path / "copy.tflite").read_bytes() == classifier.artifact.data
    with pytest.raises(InputError, match=r"use that suffix"):
        classifier.save(tmp_path / "copy.onnx")


def test_wrong_inputs_are_refused(bundle_path):
    classifier = open_classifier(bundle_path)
    with pytest.raises(DataError, match="resize"):
        classifier.predict(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="NaN"):
        classifier.predict(np.full((1, 28, 28, 1), np.nan, np.float32))


def test_unknown_artifacts_and_runtimes_list_the_known_ones(bundle_path):
    with pytest.raises(BundleError, match=r"it holds model\.tflite"):
        open_classifier(bundle_path, artifact="model-none.tflite")
    with pytest.raises(InputError, match="known: litert"):
        open_classifier(bundle_path, runtime="tensorrt")
    with pytest.raises(InputError, match=r"loads \.onnx files"):
        open_classifier(bundle_path, runtime="onnxruntime", artifact="model.tflite")


def test_a_runtime_that_is_not_installed_is_said_with_the_command_that_installs_it(bundle_path, monkeypatch):
    monkeypatch.setattr("edge_cnn.device.runtimes.table.importlib.util.find_spec", lambda _: None)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install 'edge-cnn\[litert\]'"):
        open_classifier(bundle_path)
    with pytest.raises(RuntimeUnavailableError, match=r"edge-cnn\[tflite\]"):
        open_classifier(bundle_path, runtime="tflite-runtime")


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_a_truncated_model_is_one_clear_error(artifacts, key):
    whole = artifacts[key]
    with pytest.raises(ModelError):
        classifier_of_file(Artifact(whole.name, whole.format, whole.data[: len(whole.data) // 2]))


def onnx_of(text: str) -> Artifact:
    import onnx

    model = onnx.helper.make_model(onnx.parser.parse_graph(text), opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    return Artifact("m.onnx", "onnx", model.SerializeToString())


def test_scores_may_have_more_dimensions_than_two():
    graph = """g (float[N,3,2,2] x) => (float[N,3,1,1] y) {
        pooled = GlobalAveragePool (x)
        y = Softmax <axis = 1> (pooled)
    }"""
    classifier = classifier_of_file(onnx_of(graph))
    assert classifier.labels == ("0", "1", "2")
    assert classifier.predict(np.full((1, 2, 2, 3), [0, 9, 1], np.uint8)).labels == ["1"]


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ("g (float[N,3,4,4] x) => (int64[N,1,4,4] y) { y = ArgMax <axis = 1> (x) }", "without ArgMax"),
        ("g (float[N,1] x) => (float[N,1] y) { y = Sigmoid(x) }", "1 value a sample"),
        ("g (float[N,3] x) => (float[N,3] y, float[N,3] z) { y = Relu(x) z = Relu(x) }", "2 outputs"),
    ],
)
def test_what_gives_no_scores_is_no_classifier(graph, said):
    with pytest.raises(ModelError, match=said):
        classifier_of_file(onnx_of(graph))


def test_the_range_of_a_bare_qdq_file_comes_from_its_first_quantizer(onnx_cpu_int8, digits_split):
    import onnx

    model = onnx.load_from_string(onnx_cpu_int8.data)
    del model.metadata_props[:]
    bare = classifier_of_file(Artifact("bare.onnx", "onnx", model.SerializeToString()))
    assert bare.preprocessing_source == "the range of the input quantization"
    images = digits_split[1].images[:50]
    np.testing.assert_array_equal(bare.predict(images).scores, classifier_of_file(onnx_cpu_int8).predict(images).scores)


def test_several_threads_give_the_same_answers(bundle_path, digits_split):
    images = digits_split[1].images[:20]
    one, two = (open_classifier(bundle_path, threads=n).predict(images).scores for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@needs_mlperf
def test_a_model_by_others_without_metadata_reaches_its_published_accuracy():
    data = np.load(MLPERF / "ic01_inputs_200.npz")
    classifier = open_classifier(MLPERF / "models" / "pretrainedResnet_quant.tflite")
    assert "0..255" in classifier.preprocessing.describe()
    assert classifier.preprocessing_source == "the range of the input quantization"
    images, labels = data[data.files[0]], data[data.files[1]]
    assert np.mean(classifier.predict(images.astype(np.uint8)).indices == labels) == pytest.approx(0.87)


@needs_mlperf
def test_a_model_without_an_image_input_takes_floats():
    classifier = open_classifier(MLPERF / "models" / "ad01_int8.tflite")
    assert classifier.preprocessing is None
    scores = open_runtime(classifier.artifact).run((classifier.encode(np.zeros((2, 640), np.float32)),))
    assert scores[0].shape == (2, 640)
