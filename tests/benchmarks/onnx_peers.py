"""Converters from ONNX side by side: `python -m tests.benchmarks.onnx_peers`.

Networks are made with Keras and tf2onnx, with PyTorch where it is installed, and taken from --model. Each converter's
float32 `.tflite` runs in LiteRT and is compared with ONNX Runtime on the original file. onnx2tf pins versions of its
own, so it lives in another environment: --onnx2tf PATH/bin/onnx2tf. onnx2keras is used where it can be imported.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_cnn.host.tensorflow_import import import_tensorflow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx2tf", help="the program, in an environment of its own")
    parser.add_argument("--model", action="append", default=[], help="FILE.onnx or FILE.onnx:HEIGHT,WIDTH; repeatable")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = list(_models(Path(folder), arguments.model))
        for name, convert in _converters(arguments.onnx2tf).items():
            sys.stdout.write(f"\n{name}\n{'model':32} {'max. difference':>15} {'operators':>9} {'TRANSPOSE':>9}\n")
            for path in models:
                sys.stdout.write(f"{path.stem:32} {_row(convert, path, Path(folder))}\n")
                sys.stdout.flush()
    return 0


def _row(convert: Callable[[Path, Path], bytes], path: Path, folder: Path) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            data = convert(path, folder)
    except Exception as error:  # noqa: BLE001  # converters raise anything, and how they fail is what is asked
        return f"fails: {type(error).__name__}: {next(iter(str(error).splitlines()), '')[:90]}"
    difference, operators = _compare(path, data)
    return f"{difference:15.1e} {operators.total():9} {operators['TRANSPOSE']:9}"


def _compare(path: Path, data: bytes) -> tuple[float, Counter[str]]:
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    values = np.random.default_rng(0).normal(size=(1, *entry.shape[1:])).astype(np.float32)
    expected: Any = session.run(None, {entry.name: values})[0]
    interpreter = Interpreter(model_content=data)
    place = interpreter.get_input_details()[0]
    if tuple(place["shape"][1:]) != values.shape[1:]:
        values = values.transpose(0, 2, 3, 1)
    interpreter.resize_tensor_input(place["index"], values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place["index"], values)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    operators = Counter(op["op_name"] for op in interpreter._get_ops_details())
    del operators["DELEGATE"]
    return float(np.abs(found - expected).max()), operators


def _converters(onnx2tf: str | None) -> dict[str, Callable[[Path, Path], bytes]]:
    found: dict[str, Callable[[Path, Path], bytes]] = {"edge_cnn": _edge_cnn}
    if onnx2tf:
        found["onnx2tf"] = lambda path, folder: _onnx2tf(onnx2tf, path, folder)
    with contextlib.suppress(ImportError):
        import onnx2keras  # noqa: F401  # pyright: ignore[reportMissingImports]  # a peer, not a dependency

        found["onnx2keras"] = _onnx2keras
    return found


def _edge_cnn(path: Path, _folder: Path) -> bytes:
    from converters.sources.load import load_source_model

    return load_source_model(path).float_graph.data


def _onnx2tf(program: str, path: Path, folder: Path) -> bytes:
    out = folder / f"{path.stem}_onnx2tf"
    done = subprocess.run([program, "-i", path, "-o", out, "-n"], capture_output=True, text=True, timeout=300)
    files = list(out.glob("*_float32.tflite"))
    if files:
        return files[0].read_bytes()
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
    raise RuntimeError(lines[-1] if lines else f"status {done.returncode}")


def _onnx2keras(path: Path, _folder: Path) -> bytes:
    import onnx
    from onnx2keras import onnx_to_keras  # pyright: ignore[reportMissingImports]  # as above

    tf, _ = import_tensorflow()
    model = onnx.load(path)
    keras_model = onnx_to_keras(model, [model.graph.input[0].name], verbose=False)
    function = tf.function(lambda inputs: keras_model(inputs, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, *keras_model.input_shape[1:]), tf.float32))
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


def _models(folder: Path, given: list[str]) -> Iterator[Path]:
    yield from _keras_models(folder)
    yield from _torch_models(folder)
    for text in given:
        import onnx

        path, _, sizes = text.partition(":")
        model = onnx.load(path)
        for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], sizes.split(","), strict=False):
            dim.dim_value = int(size)
        onnx.save(model, folder / Path(path).name)
        yield folder / Path(path).name


def _keras_models(folder: Path) -> Iterator[Path]:
    tf, keras = import_tensorflow()
    import tf2onnx

    from edge_cnn.host.architectures import build_model

    keras.utils.set_random_seed(0)
    k = keras.layers
    ds_cnn = [
        keras.Input((49, 10, 1)),
        k.Conv2D(64, (10, 4), strides=2, padding="same"),
        k.BatchNormalization(),
        k.ReLU(),
    ]
    for _ in range(2):
        ds_cnn += [k.DepthwiseConv2D(3, padding="same"), k.BatchNormalization(), k.ReLU()]
        ds_cnn += [k.Conv2D(64, 1), k.BatchNormalization(), k.ReLU(6.0)]
    ds_cnn += [k.AveragePooling2D((25, 5)), k.Flatten(), k.Dense(12, activation="softmax")]
    autoencoder: list[Any] = [keras.Input((640,))]
    for width in (128, 8, 128):
        autoencoder += [k.Dense(width), k.BatchNormalization(), k.ReLU()]
    models = {
        "resnet8": build_model("resnet8", (32, 32, 3), 10),
        "lenet": build_model("lenet", (28, 28, 1), 10),
        "ds_cnn": keras.Sequential(ds_cnn),
        "autoencoder": keras.Sequential([*autoencoder, k.Dense(640)]),
    }
    rng = np.random.default_rng(0)
    for name, model in models.items():
        # Fresh BatchNorm and biases are neutral: reading them wrongly would not show.
        model.set_weights([w + (w.ndim == 1) * rng.uniform(0.02, 0.2, w.shape) for w in model.get_weights()])
        function = tf.function(lambda inputs, model=model: model(inputs, training=False))
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="input")
        orders = ("nhwc", "nchw") if len(model.input_shape) == 4 else ("rows",)
        for order in orders:
            path = folder / f"keras_{name}_{order}.onnx"
            first = ["input"] if order == "nchw" else None
            tf2onnx.convert.from_function(function, (spec,), opset=17, inputs_as_nchw=first, output_path=str(path))
            yield path


def _torch_models(folder: Path) -> Iterator[Path]:
    try:
        import torch  # pyright: ignore[reportMissingImports]  # a peer, not a dependency
        from torch import nn  # pyright: ignore[reportMissingImports]  # as above
    except ImportError:
        return

    class Residual(nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return nn.functional.relu6(self.inner(x) + x)

    torch.manual_seed(0)
    depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
    block = nn.Sequential(depthwise, nn.BatchNorm2d(16), nn.Hardswish(), nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16))
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    grouped = nn.Conv2d(16, 32, 3, padding=1, groups=4)
    small = nn.Sequential(stem, Residual(block), grouped, nn.MaxPool2d(3, 2, 1), end)
    flat = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5, padding=2), nn.LeakyReLU(0.1)),
        *(nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten(), nn.Linear(576, 84), nn.BatchNorm1d(84)),
        *(nn.Tanh(), nn.Linear(84, 10), nn.Softmax(-1)),
    )
    for name, model, shape in (("small", small, (1, 3, 33, 32)), ("flat", flat, (1, 1, 28, 28))):
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2)
        for opset in (13, 17):
            path = folder / f"torch_{name}_opset{opset}.onnx"
            axes = {"x": {0: "n"}}
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                sample, names = torch.zeros(shape), ["x"]
                torch.onnx.export(
                    model.eval(),
                    sample,
                    str(path),
                    opset_version=opset,
                    dynamo=False,
                    input_names=names,
                    dynamic_axes=axes,
                )
            yield path


if __name__ == "__main__":
    sys.exit(main())
