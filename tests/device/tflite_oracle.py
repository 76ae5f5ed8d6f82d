"""What the tests of surgery on `.tflite` files judge by: LiteRT's interpreter, the schema's generated code, and the
older runtime in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.split_model import SplitModel
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.head import merge_tflite_head, split_tflite_head

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers: Any = pytest.importorskip("flatbuffers")
interpreters: Any = pytest.importorskip("ai_edge_litert.interpreter")

ROOT = Path(__file__).resolve().parents[2]
OLD_RUNTIME = Path(os.environ.get("EDGE_CNN_TFLITE_PYTHON", ROOT / ".venv-tflite" / "bin" / "python"))
MLPERF = Path(os.environ["EDGE_CNN_DATA"]) / "mlperf_tiny" / "models" if "EDGE_CNN_DATA" in os.environ else None


def run(data: bytes, inputs: np.ndarray, *, reference: bool = True, tensor: str | None = None) -> np.ndarray:
    """Codes (n, values) of the output, or of the inner tensor `tensor`, from an interpreter and nothing of ours."""
    kinds = interpreters.OpResolverType
    interpreter = interpreters.Interpreter(
        model_content=data,
        experimental_op_resolver_type=kinds.BUILTIN_REF if reference else kinds.AUTO,
        experimental_preserve_all_tensors=tensor is not None,
    )
    interpreter.allocate_tensors()
    details = interpreter.get_tensor_details() if tensor else interpreter.get_output_details()
    (index,) = [d["index"] for d in details if tensor in (None, d["name"])]
    rows = []
    for row in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(index).reshape(-1).copy())
    return np.array(rows)


def samples(artifact: Artifact, count: int = 16) -> np.ndarray:
    """Random inputs over the whole range of the graph's input."""
    spec = read_tflite(artifact).inputs[0]
    values = np.random.default_rng(11).random((count, *spec.shape[1:]), np.float32)
    if spec.quantization is None:
        return values
    limits = np.iinfo(spec.numpy_dtype)
    return quantize(values * (limits.max - limits.min) * spec.quantization.scale, spec.quantization, spec.numpy_dtype)


def real(codes: np.ndarray, spec: Any) -> np.ndarray:
    return codes if spec.quantization is None else dequantize(codes, spec.quantization)


def random_head(split: SplitModel, embeddings: np.ndarray, seed: int = 5) -> SoftmaxHead:
    rng = np.random.default_rng(seed)
    spread = 3 / (np.abs(embeddings).max() * np.sqrt(split.info.features))
    weights = rng.normal(0, spread, (split.info.classes, split.info.features)).astype(np.float32)
    return SoftmaxHead(weights, rng.normal(0, 0.5, split.info.classes).astype(np.float32))


def merged_with(artifact: Artifact, seed: int = 5) -> tuple[Artifact, SoftmaxHead, np.ndarray, np.ndarray]:
    """A file with a random head, the head, the embeddings and the inputs."""
    split, inputs = split_tflite_head(artifact), samples(artifact)
    embeddings = real(run(split.backbone.data, inputs), split.info.embedding)
    head = random_head(split, embeddings, seed)
    logits = head.logits(embeddings)
    return merge_tflite_head(artifact, head, (logits.min(), logits.max())), head, embeddings, inputs


def check_split(artifact: Artifact) -> None:
    split, inputs = split_tflite_head(artifact), samples(artifact)
    for part, spec, values in (
        (split.backbone, split.info.embedding, split.info.features),
        (split.logits_view, split.info.logits, split.info.classes),
    ):
        assert len(part.data) == len(artifact.data)
        codes = run(part.data, inputs)
        np.testing.assert_array_equal(codes, run(artifact.data, inputs, tensor=spec.name))
        assert codes.shape == (len(inputs), values)
        assert codes.dtype == spec.numpy_dtype
        run(part.data, inputs, reference=False)  # XNNPACK takes the file as well.


def changed_bytes(before: Artifact, after: Artifact) -> set[int]:
    old, new = (np.frombuffer(a.data, np.uint8) for a in (before, after))
    return set(np.flatnonzero(old != new).tolist())


def slots_of_the_head(artifact: Artifact) -> set[int]:
    """Bytes of weights, bias, their scales and the logits' quantization, found by the schema's generated code."""
    data = np.frombuffer(artifact.data, np.uint8)
    model = schema.Model.GetRootAs(artifact.data)
    graph = model.Subgraphs(0)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    rows = [model.OperatorCodes(op.OpcodeIndex()) for op in operators]
    codes = [max(row.BuiltinCode(), row.DeprecatedBuiltinCode()) for row in rows]
    kinds = schema.BuiltinOperator
    place = max(i for i, code in enumerate(codes) if code in (kinds.FULLY_CONNECTED, kinds.CONV_2D))
    _, weights, bias = operators[place].InputsAsNumpy()
    widened = {op.Outputs(0): op.Inputs(0) for op, c in zip(operators, codes, strict=True) if c == kinds.DEQUANTIZE}
    weights, bias = widened.get(weights, weights), widened.get(bias, bias)
    logits = [operators[place].Outputs(0)]
    if schema.BuiltinOperator.SOFTMAX not in codes:
        logits += [op.Outputs(0) for op in operators[place + 1 :]]
    logits += [
        op.Outputs(0) for op, code in zip(operators[place:], codes[place:], strict=True) if code == kinds.RESHAPE
    ]
    views = [model.Buffers(graph.Tensors(t).Buffer()).DataAsNumpy() for t in (weights, bias)]
    for tensor in (weights, bias, *logits):
        stored = graph.Tensors(tensor).Quantization()
        if stored is not None:
            views += [stored.ScaleAsNumpy(), stored.ZeroPointAsNumpy(), stored.MinAsNumpy(), stored.MaxAsNumpy()]
    start = data.__array_interface__["data"][0]
    slots: set[int] = set()
    for view in views:
        if isinstance(view, np.ndarray):
            offset = view.__array_interface__["data"][0] - start
            assert 0 <= offset < len(data)
            slots |= set(range(offset, offset + view.nbytes))
    return slots


def check_other_bytes(artifact: Artifact) -> None:
    before = bytes(artifact.data)
    merged = merged_with(artifact)[0]
    assert artifact.data == before
    assert len(merged.data) == len(artifact.data)
    changed = changed_bytes(artifact, merged)
    assert changed
    assert changed <= slots_of_the_head(artifact)


def check_error_bound(artifact: Artifact) -> None:
    merged, head, embeddings, inputs = merged_with(artifact)
    split = split_tflite_head(merged)
    assert split.info.weights_quantization is not None
    assert split.info.logits.quantization is not None
    assert split.info.embedding.quantization is not None
    logits = real(run(split.logits_view.data, inputs), split.info.logits)
    weight_scales = np.array(split.info.weights_quantization.scales)
    # Half a step of every weight times its embedding, half a step of the bias, and one of the logits.
    bound = np.abs(embeddings).sum(axis=1, keepdims=True) * weight_scales / 2
    bound += split.info.embedding.quantization.scale * weight_scales / 2 + split.info.logits.quantization.scale
    error = np.abs(logits - head.logits(embeddings))
    assert (error <= bound).all()
    assert error.max() < 0.02 * np.ptp(head.logits(embeddings))


def changed(artifact: Artifact, change: Callable[[Any], Any]) -> Artifact:
    tree = schema.ModelT.InitFromPackedBuf(artifact.data, 0)
    change(tree)
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return Artifact("changed.tflite", TFLITE, bytes(builder.Output()))


CHILD = """
    import sys
    import numpy as np
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    def run(data, inputs, reference, tensor):
        kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
        keep = bool(tensor)
        interpreter = Interpreter(
            model_content=data, experimental_op_resolver_type=kind, experimental_preserve_all_tensors=keep
        )
        interpreter.allocate_tensors()
        details = interpreter.get_tensor_details() if tensor else interpreter.get_output_details()
        (index,) = [d["index"] for d in details if tensor in ("", d["name"])]
        rows = []
        for row in inputs:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(index).reshape(-1).copy())
        return np.array(rows)

    given = np.load(sys.argv[1])
    results = {}
    for key in given["keys"].tolist():
        data, inputs = given[key + "/data"].tobytes(), given[key + "/inputs"]
        for reference in (True, False):
            results[f"{key}/{reference}"] = run(data, inputs, reference, str(given[key + "/tensor"]))
    np.savez(sys.argv[2], **results)
"""


def run_in_old_runtime(
    tmp_path: Path, jobs: dict[str, tuple[Artifact, np.ndarray, str]]
) -> dict[tuple[str, bool], np.ndarray]:
    """(key, reference kernels) -> codes, from tflite-runtime in an environment of its own."""
    if not OLD_RUNTIME.exists():
        pytest.skip("the environment of tflite-runtime is not here; 'make device-envs' makes it")
    arrays: dict[str, Any] = {"keys": np.array(list(jobs))}
    for key, (artifact, inputs, tensor) in jobs.items():
        arrays |= {f"{key}/data": np.frombuffer(artifact.data, np.uint8), f"{key}/inputs": inputs}
        arrays[f"{key}/tensor"] = np.array(tensor)
    np.savez(tmp_path / "given.npz", **arrays)
    child = subprocess.run(
        [str(OLD_RUNTIME), "-c", textwrap.dedent(CHILD), tmp_path / "given.npz", tmp_path / "results.npz"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "No module named 'tflite_runtime'" in child.stderr:
        pytest.skip(
            "tflite-runtime has no wheel for this Python or system; 'make device-envs' with Python 3.11 on Linux"
        )
    assert child.returncode == 0, child.stderr
    with np.load(tmp_path / "results.npz") as results:
        return {(key, kind): results[f"{key}/{kind}"] for key in jobs for kind in (True, False)}
