"""What is known of releases against those that are here: the runtimes themselves load, or refuse, crafted files."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import InputError
from edge_cnn.device.runtimes import release_facts as facts
from edge_cnn.device.runtimes.release import parse_release, problems
from edge_cnn.device.tflite.schema import BUILTIN_OPERATORS
from tests.device.tflite_oracle import OLD_RUNTIME, changed, flatbuffers, schema

OPERATORS = [n for n in BUILTIN_OPERATORS if n not in ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")]
PROBE = """
import importlib, json, pickle, sys
Interpreter = importlib.import_module(sys.argv[1]).Interpreter
loaded = []
for name, data in pickle.load(open(sys.argv[2], "rb")).items():
    try:
        Interpreter(model_content=data)
    except ValueError:
        continue
    loaded.append(name)
print(json.dumps(loaded))
"""
MICRO = """
import json, os, pickle, sys, tempfile
from tflite_micro.python.tflite_micro import runtime
known = []
for name, data in pickle.load(open(sys.argv[1], "rb")).items():
    with tempfile.TemporaryFile() as said:
        # In a child: a kernel may die of the operands that these files have not.
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 2)
            try:
                runtime.Interpreter.from_bytes(data)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        said.seek(0)
        if b"find op for builtin opcode" not in said.read():
            known.append(name)
print(json.dumps(known))
"""


def file_with(name: str, version: int, *, uses: bool = False) -> bytes:
    """A file that names the operator in its table of codes, and computes nothing unless `uses`."""
    code, model, graph, tensor = schema.OperatorCodeT(), schema.ModelT(), schema.SubGraphT(), schema.TensorT()
    number = getattr(schema.BuiltinOperator, name)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    tensor.shape, tensor.name = [1], b"x"
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    if uses:
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = [], []
        graph.operators = [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def newest(table: dict[str, Any], release: Any) -> Any:
    """Facts of the newest release in the table that is not newer than this one."""
    return [known for name, known in table.items() if tuple(map(int, name.split("."))) <= release.version][-1]


def check_table(python: str, module: str, known: dict[str, int], folder: Path) -> None:
    """Each operator loads at its lowest and highest version, and not at those around them."""
    asked, expected = {}, []
    for name in OPERATORS:
        lowest, highest = facts.LOWEST_VERSIONS.get(name, 1), known.get(name, 0)
        for version in {lowest - 1, lowest, highest, highest + 1} - {0}:
            asked[f"{name} {version}"] = file_with(name, version)
            if lowest <= version <= highest:
                expected.append(f"{name} {version}")
    (folder / "files.pkl").write_bytes(pickle.dumps(asked))
    command = [python, "-c", PROBE, module, str(folder / "files.pkl")]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, cwd=folder)
    assert sorted(json.loads(child.stdout.splitlines()[-1])) == sorted(expected)


def test_the_table_says_what_this_litert_loads(tmp_path):
    import ai_edge_litert

    release = parse_release(f"litert=={ai_edge_litert.__version__}")
    check_table(sys.executable, "ai_edge_litert.interpreter", newest(facts.LITERT, release), tmp_path)


def test_the_table_says_what_tflite_runtime_2_14_loads(tmp_path):
    if not OLD_RUNTIME.exists():
        pytest.skip(f"no {OLD_RUNTIME}; make it with: make device-envs")
    check_table(str(OLD_RUNTIME), "tflite_runtime.interpreter", facts.TFLITE_RUNTIME["2.14.0"], tmp_path)


@pytest.mark.slow
def test_the_list_has_the_operators_of_tflite_micro(ready_device, tmp_path):
    python = ready_device("tflm").python[0]
    # Version 99: TFLite Micro does not look at it.
    asked = {name: file_with(name, 99, uses=True) for name in OPERATORS}
    (tmp_path / "files.pkl").write_bytes(pickle.dumps(asked))
    command = [python, "-c", MICRO, str(tmp_path / "files.pkl")]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert set(json.loads(child.stdout.splitlines()[-1])) == facts.TFLM_OPERATORS


def relu(opset: int, ir_version: int, domain: str = "") -> Artifact:
    onnx: Any = pytest.importorskip("onnx")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    node = onnx.helper.make_node("Relu", ["x"], ["y"], domain=domain)
    opsets = [onnx.helper.make_opsetid("", opset)] + ([onnx.helper.make_opsetid(domain, 1)] if domain else [])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=opsets)
    model.ir_version = ir_version
    return Artifact("m.onnx", "onnx", model.SerializeToString())


def test_the_table_says_what_this_onnx_runtime_loads():
    onnxruntime = pytest.importorskip("onnxruntime")
    here = parse_release(f"onnxruntime=={onnxruntime.__version__}")
    opset, ir_version = newest(facts.ONNX_RUNTIME, here)
    for artifact in (relu(opset, 7), relu(13, ir_version)):
        assert problems(artifact, here) == []
        onnxruntime.InferenceSession(artifact.data, providers=["CPUExecutionProvider"])
    for artifact, message in ((relu(opset + 1, 7), "[Oo]pset"), (relu(13, ir_version + 1), "IR version")):
        assert len(problems(artifact, here)) == 1
        with pytest.raises(Exception, match=message):
            onnxruntime.InferenceSession(artifact.data, providers=["CPUExecutionProvider"])


def test_an_old_onnx_runtime_lacks_opset_ir_version_and_foreign_domains():
    old = parse_release("onnxruntime-cuda==1.11.0")
    assert problems(relu(16, 8), old) == []
    assert problems(relu(17, 9), old) == [
        "IR version 9: onnxruntime-cuda 1.11.0 reads up to 8",
        "opset 17: onnxruntime-cuda 1.11.0 has up to 16",
    ]
    assert problems(relu(13, 8, "com.example"), old) == [
        "operators of domain 'com.example': onnxruntime-cuda 1.11.0 has none"
    ]


@pytest.mark.parametrize(
    ("name", "version", "release", "lines"),
    [
        ("CONV_2D", 8, "tflite-runtime==2.14.0", ["CONV_2D version 8: tflite-runtime 2.14.0 has versions 1 to 7"]),
        ("CONV_2D", 8, "litert==1.0.0", []),
        ("CONV_2D", 7, "tflite-runtime==2.11.0", ["CONV_2D version 7: tflite-runtime 2.11.0 has versions 1 to 6"]),
        # Named by what the release before it has.
        ("CONV_2D", 6, "tflite-runtime==2.9.5", []),
        ("BROADCAST_TO", 1, "litert", ["BROADCAST_TO version 1: litert has versions 2 to 4"]),
        ("DILATE", 1, "tflite-runtime==2.14.0", ["DILATE: tflite-runtime 2.14.0 has no such operator"]),
        ("DILATE", 1, "ai-edge-litert==2.3.0", []),
        ("DILATE", 1, "tflm", ["DILATE: tflm has no such operator"]),
        ("CONV_2D", 99, "tflite-micro==0.dev20261023182759", []),
    ],
)
def test_operators_are_told_with_the_versions_that_a_release_has(name, version, release, lines):
    artifact = Artifact("m.tflite", "tflite", file_with(name, version, uses=True))
    assert problems(artifact, parse_release(release)) == lines


def test_four_bit_weights_behind_a_dequantize_need_its_sixth_version_whatever_the_file_states():
    def four_bits(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[0].type = schema.TensorType.INT4
        graph.operators[0].inputs = [0]

    artifact = changed(Artifact("m.tflite", "tflite", file_with("DEQUANTIZE", 1, uses=True)), four_bits)
    assert problems(artifact, parse_release("litert==1.0.0")) == []
    assert problems(artifact, parse_release("tflite-runtime==2.14.0")) == [
        "DEQUANTIZE version 6: tflite-runtime 2.14.0 has versions 1 to 5"
    ]


def dense(weights_type: int, *, scales: int = 1, blockwise: bool = False) -> Artifact:
    """FULLY_CONNECTED of float samples at version 1, as AI Edge Quantizer writes it."""

    def change(model: Any) -> None:
        graph, buffer = model.subgraphs[0], schema.BufferT()
        buffer.data = np.zeros(16, np.uint8)
        model.buffers.append(buffer)
        weights, quantization = schema.TensorT(), schema.QuantizationParametersT()
        weights.shape, weights.name, weights.type, weights.buffer = [4, 4], b"w", weights_type, 1
        quantization.scale, quantization.zeroPoint = [0.5] * scales, [0] * scales
        if blockwise:
            quantization.scale = quantization.zeroPoint = None
            quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
            quantization.details = schema.BlockwiseQuantizationT()
        weights.quantization = quantization
        graph.tensors.append(weights)
        graph.operators[0].inputs = [0, 1]

    return changed(Artifact("m.tflite", "tflite", file_with("FULLY_CONNECTED", 1, uses=True)), change)


INT8, INT4 = schema.TensorType.INT8, schema.TensorType.INT4


@pytest.mark.parametrize(
    ("artifact", "wrong", "right"),
    [
        (dense(INT8, scales=4), ["tflite-runtime==2.14.0"], ["litert==1.0.0", "litert"]),
        (dense(INT8), [], ["tflite-runtime==2.14.0", "litert"]),
        (dense(INT4, scales=4), ["tflite-runtime==2.14.0", "litert==1.0.1"], ["litert==1.1.0", "litert"]),
        (dense(INT4, blockwise=True), ["tflite-runtime==2.14.0", "litert==2.0.3"], ["litert==2.1.0", "litert"]),
    ],
)
def test_files_that_load_and_compute_garbage_are_told(artifact, wrong, right):
    for release in wrong:
        (line,) = problems(artifact, parse_release(release))
        assert line.startswith("known wrong: FULLY_CONNECTED")
    for release in right:
        assert problems(artifact, parse_release(release)) == []
    # TFLite Micro refuses all of them.
    assert problems(artifact, parse_release("tflm")) == [
        "it has float activations and integer weights, and TFLite Micro has no hybrid kernels"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch==2.1", "unknown runtime 'torch==2.1'; known: litert, tflite-runtime, onnxruntime, tflm"),
        ("onnxruntime-mps", "unknown runtime"),
        ("litert==", "has no version"),
        ("litert==two", "has no version"),
        ("tflite-runtime==2.5.0", "nothing is known of tflite-runtime 2.5.0; known are releases from 2.7.0 on"),
    ],
)
def test_what_is_no_release_is_one_clear_line(text, message):
    with pytest.raises(InputError, match=message):
        parse_release(text)


def test_a_release_for_another_format_is_told():
    with pytest.raises(InputError, match=r"litert loads .tflite files, m.onnx is .onnx"):
        problems(relu(13, 8), parse_release("litert"))


def test_no_release_lost_what_the_one_before_it_has():
    for table in (facts.TFLITE_RUNTIME, facts.LITERT):
        releases = list(table.values())
        for before, after in itertools.pairwise(releases):
            assert all(after[name] >= version for name, version in before.items())
