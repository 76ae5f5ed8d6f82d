"""The gate must bite: a real bundle, and devices on which one thing is wrong."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.device.runtimes import open_runtime
from edge_cnn.verify.devices.local import LocalDevice
from edge_cnn.verify.replay import judge, verify

FULLY_CONNECTED, CONV_2D = 9, 3
EVERY_FILE = ["int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx"]
INTEGER_RUNS = [("int8.tflite", "litert"), ("int8.tflite", "litert-ref"), ("int8.onnx", "onnxruntime")]


@dataclass(frozen=True)
class DamagedDevice(LocalDevice):
    """This process, but every file is changed before it is loaded, the view of the logits as well."""

    damage: object = None

    def open(self, artifact, runtime, *, threads=1):
        return open_runtime(self.damage(artifact), runtime, threads=threads)


@dataclass(frozen=True)
class LyingDevice(LocalDevice):
    """This process, but what comes out of the whole graph is changed; the view of the logits is left alone."""

    whole: bytes = b""
    change: object = None

    def open(self, artifact, runtime, *, threads=1):
        opened = open_runtime(artifact, runtime, threads=threads)
        if artifact.data == self.whole:
            run, change = opened.run, self.change
            opened.run = lambda inputs: [change(output, opened.outputs[0].quantization) for output in run(inputs)]
        return opened


def verdict(bundle, key, runtime, damage=lambda artifact: artifact):
    entry = next(e for e in bundle.manifest.artifacts if f"{e.scheme}.{e.format}" == key)
    return judge(bundle, entry.name, DamagedDevice(damage=damage), runtime)


class TfliteFile:
    """Writable views of a `.tflite` file through the vendor's own schema."""

    def __init__(self, artifact):
        from ai_edge_litert import schema_py_generated as schema

        self.bytes = bytearray(artifact.data)
        self.model = schema.Model.GetRootAs(self.bytes, 0)
        self.graph = self.model.Subgraphs(0)

    def operators(self, code):
        every = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        return [op for op in every if self.model.OperatorCodes(op.OpcodeIndex()).BuiltinCode() == code]

    def constant(self, tensor, dtype):
        return self.model.Buffers(self.graph.Tensors(tensor).Buffer()).DataAsNumpy().view(dtype)

    def quantization(self, tensor):
        return self.graph.Tensors(tensor).Quantization()


def damaged_tflite(edit):
    def damage(artifact):
        file = TfliteFile(artifact)
        edit(file)
        return Artifact(artifact.name, artifact.format, bytes(file.bytes))

    return damage


def damaged_onnx(edit):
    def damage(artifact):
        import onnx

        model = onnx.load_from_string(artifact.data)
        edit(model.graph, {tensor.name: tensor for tensor in model.graph.initializer})
        return Artifact(artifact.name, artifact.format, model.SerializeToString())

    return damage


def changed(tensor, change):
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor).copy()
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(change(array), array.dtype).reshape(array.shape), tensor.name))


def quantizers_of_activations(graph, constants):
    return [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in constants]


def flip_bit(mask, count):
    """Flip the bits of `mask` in `count` weights of the second convolution."""

    def tflite(file):
        weights = file.constant(file.operators(CONV_2D)[1].Inputs(1), np.uint8)
        weights[:: max(len(weights) // count, 1)] ^= mask

    def onnx(_, constants):
        weights = [t for t in constants.values() if len(t.dims) == 4][1]

        def change(array):
            flat = array.view(np.uint8).reshape(-1)
            flat[:: max(len(flat) // count, 1)] ^= mask
            return array

        changed(weights, change)

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}


def scale_logits_by(factor):
    """Let the head's own output be read with another scale, in the graph as on the way out of it."""

    def tflite(file):
        scale = file.quantization(file.operators(FULLY_CONNECTED)[-1].Outputs(0)).ScaleAsNumpy()
        scale *= np.float32(factor)

    def onnx(graph, constants):
        (head,) = [n for n in graph.node if n.op_type in ("Gemm", "MatMul")][-1:]
        maker = {output: node for node in graph.node for output in node.output}
        weights = maker[head.input[1]]
        changed(constants[weights.input[1]], lambda scales: scales * np.float32(factor))

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}


def move_zero_point(which):
    """Add one to the zero point of an activation: 0 is the input of the graph, -1 the logits."""

    def tflite(file):
        tensor = file.operators(CONV_2D)[0].Inputs(0) if which == 0 else file.operators(FULLY_CONNECTED)[-1].Outputs(0)
        zero_point = file.quantization(tensor).ZeroPointAsNumpy()
        zero_point += 1

    def onnx(graph, constants):
        # On one side of the codes only: a quantizer and a dequantizer that move together cancel.
        quantizer = quantizers_of_activations(graph, constants)[which]
        readers = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] == quantizer.output[0]]
        for node in readers if which == 0 else [quantizer]:
            moved = graph.initializer.add()
            moved.CopyFrom(constants[node.input[2]])
            moved.name += "_moved"
            changed(moved, lambda zero: zero + 1)
            node.input[2] = moved.name

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}


@pytest.mark.parametrize("key", EVERY_FILE)
def test_clean_repeats_pass_with_the_same_numbers(bundle, key):
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    results = [verdict(bundle, key, runtime) for _ in range(3)]
    assert all(r.passed for r in results), results[0].reason
    assert results[0].to_json() == results[1].to_json() == results[2].to_json()


def test_the_kernels_of_the_recording_are_exact(bundle):
    result = verdict(bundle, "int8.tflite", "litert-ref")
    assert result.passed
    assert result.parity.logits.max_lsb == result.parity.outputs.max_lsb == 0
    assert result.reason == "logits bit for bit those of the host"


def test_other_kernels_differ_without_a_shift(bundle):
    result = verdict(bundle, "int8.tflite", "litert")
    assert result.kernels == "xnnpack"
    assert result.parity.logits.max_lsb <= 3
    assert abs(result.parity.logits.mean_lsb) < 0.1


@pytest.mark.parametrize(("key", "runtime"), INTEGER_RUNS)
def test_flipped_high_bits_in_a_convolution_fail(bundle, key, runtime):
    result = verdict(bundle, key, runtime, flip_bit(0x80, 50)[key.split(".")[1]])
    assert not result.passed
    assert result.parity.compared.max_lsb > 3


def test_flipped_low_bits_fail_where_the_kernels_are_exact(bundle):
    assert not verdict(bundle, "int8.tflite", "litert-ref", flip_bit(0x01, 20)["tflite"]).passed


@pytest.mark.parametrize(("key", "runtime"), [("float32.tflite", "litert"), ("float32.onnx", "onnxruntime")])
def test_flipped_sign_bits_of_floats_fail(bundle, key, runtime):
    # 3 mod 4 is the byte of sign and exponent; a stride of 4 * odd + 3 would wander, so all of them are hit.
    def every_sign(array):
        array.view(np.uint8).reshape(-1)[3::400] ^= 0x80
        return array

    damages = {
        "tflite": damaged_tflite(
            lambda file: every_sign(file.constant(file.operators(CONV_2D)[1].Inputs(1), np.uint8))
        ),
        "onnx": damaged_onnx(
            lambda _, constants: changed([t for t in constants.values() if len(t.dims) == 4][1], every_sign)
        ),
    }
    assert not verdict(bundle, key, runtime, damages[key.split(".")[1]]).passed


@pytest.mark.parametrize(("key", "runtime"), INTEGER_RUNS)
@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_scale_off_by_two_percent_fails(bundle, key, runtime, factor):
    assert not verdict(bundle, key, runtime, scale_logits_by(factor)[key.split(".")[1]]).passed


@pytest.mark.parametrize(("key", "runtime"), INTEGER_RUNS)
@pytest.mark.parametrize("which", [0, -1])
def test_a_zero_point_off_by_one_fails(bundle, key, runtime, which):
    result = verdict(bundle, key, runtime, move_zero_point(which)[key.split(".")[1]])
    assert not result.passed


@pytest.mark.parametrize("key", EVERY_FILE)
@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (0.0, 1.0), (0.0, 250.0), (2.0, 255.0)])
def test_wrong_preprocessing_fails(bundle, key, mean, std):
    wrong = replace(bundle.manifest.preprocessing, mean=(mean,), std=(std,))
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    result = verdict(
        Bundle(replace(bundle.manifest, preprocessing=wrong), bundle.artifacts, bundle.golden), key, runtime
    )
    assert not result.passed


@pytest.mark.parametrize("key", EVERY_FILE)
def test_two_classes_swapped_in_the_golden_outputs_fail(bundle, key):
    def swap(codes):
        return {name: rows[:, [1, 0, *range(2, 10)]] for name, rows in codes.items()}

    golden = replace(bundle.golden, outputs=swap(bundle.golden.outputs), logits=swap(bundle.golden.logits))
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    assert not verdict(Bundle(bundle.manifest, bundle.artifacts, golden), key, runtime).passed


@pytest.mark.parametrize("key", EVERY_FILE)
def test_golden_labels_in_another_order_fail(bundle, key):
    golden = replace(bundle.golden, labels=9 - bundle.golden.labels)
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    result = verdict(Bundle(bundle.manifest, bundle.artifacts, golden), key, runtime)
    assert not result.passed
    assert "golden labels" in result.reason


@pytest.mark.parametrize("key", EVERY_FILE)
def test_rows_and_columns_mixed_up_fail(bundle, key, monkeypatch):
    encode = InputEncoder.encode
    monkeypatch.setattr(InputEncoder, "encode", lambda self, images: encode(self, images.transpose(0, 2, 1, 3)))
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    assert not verdict(bundle, key, runtime).passed


def test_the_whole_bundle_passes_here(bundle_path):
    report = verify(bundle_path)
    assert len(report.results) == 4
    assert report.passed, [r.reason for r in report.results]
    assert all(r.parity.logits is not None for r in report.results)


def test_an_environment_gives_the_same_bits_as_this_process(bundle_path, this_environment):
    here = verify(bundle_path, "local:litert-ref").results
    there = verify(bundle_path, f"{this_environment}:litert-ref").results
    assert [r.parity.logits for r in here] == [r.parity.logits for r in there]
    assert [r.reason for r in here] == [r.reason for r in there]


def flat(outputs, grid):
    """0.5 for the best class and 0.496 for every other one."""
    values = np.full(outputs.shape, 0.496)
    np.put_along_axis(values, outputs.argmax(axis=1)[:, None], 0.5, axis=1)
    return values.astype(np.float32) if grid is None else quantize(values, grid, outputs.dtype)


def faint(outputs, grid):
    """A tenth of every score, so that the best is off by 0.9."""
    if grid is None:
        return outputs / 10
    # Two codes apart at least, so that the answer stays.
    codes = quantize(dequantize(outputs, grid) / 10, grid, outputs.dtype)
    np.put_along_axis(codes, outputs.argmax(axis=1)[:, None], codes.max(axis=1, keepdims=True) + 2, axis=1)
    return codes


def scattered(outputs, grid):
    """One class that is not the best gets 0.2 more in every sample."""
    values = outputs if grid is None else dequantize(outputs, grid)
    values = values.copy()
    np.put_along_axis(values, values.argmin(axis=1)[:, None], values.min(axis=1, keepdims=True) + 0.2, axis=1)
    return values.astype(np.float32) if grid is None else quantize(values, grid, outputs.dtype)


@pytest.mark.parametrize("key_and_runtime", INTEGER_RUNS)
@pytest.mark.parametrize("change", [flat, faint, scattered])
def test_scores_that_the_logits_do_not_explain_fail_though_the_answer_stays(bundle, key_and_runtime, change):
    key, runtime = key_and_runtime
    entry = next(e for e in bundle.manifest.artifacts if f"{e.scheme}.{e.format}" == key)
    device = LyingDevice(whole=bundle.artifact(entry.name).data, change=change)
    result = judge(bundle, entry.name, device, runtime)
    assert result.parity.top1_agreement > 0.98
    assert result.parity.logits.max_lsb <= 1
    assert not result.passed
    assert "outputs differ by" in result.reason


def test_a_softmax_of_another_temperature_fails_behind_the_same_logits(bundle):
    def cooler(file):
        from ai_edge_litert import schema_py_generated as schema

        every = file.operators(schema.BuiltinOperator.SOFTMAX)
        if not every:  # the view of the logits ends before it
            return
        (softmax,) = every
        options = schema.SoftmaxOptions()
        options.Init(softmax.BuiltinOptions().Bytes, softmax.BuiltinOptions().Pos)
        position = options._tab.Pos + options._tab.Offset(4)
        file.bytes[position : position + 4] = np.float32(0.5).tobytes()

    result = verdict(bundle, "int8.tflite", "litert", damaged_tflite(cooler))
    assert result.parity.logits.max_lsb <= 1
    assert not result.passed
    assert "the operators after the last layer differ" in result.reason


def test_an_operator_that_fails_on_the_values_is_a_failed_row(bundle):
    def fail():
        raise RuntimeError("gather index out of bounds\nNode number 3 (GATHER) failed to invoke.")

    @dataclass(frozen=True)
    class FailingDevice(LocalDevice):
        def open(self, artifact, runtime, *, threads=1):
            opened = open_runtime(artifact, runtime, threads=threads)
            opened._interpreter = SimpleNamespace(set_tensor=lambda *_: None, invoke=fail)
            opened.kernels = lambda: Kernels("xnnpack", {})
            return opened

    name = next(a.name for a in bundle.artifacts if a.format == "tflite")
    result = judge(bundle, name, FailingDevice(), "litert")
    assert not result.passed
    assert result.reason == (
        f"litert cannot run {name}: gather index out of bounds Node number 3 (GATHER) failed to invoke.; "
        f"see 'edge-cnn inspect {name}'"
    )
