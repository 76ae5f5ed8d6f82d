"""A `.tflite` file as C++ source, for firmware that has no files."""

from __future__ import annotations

import math
import re

import numpy as np

from edge_cnn import __version__
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.metadata import read_tflite_metadata

_BYTES_A_LINE = 20
_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"}


def c_header(artifact: Artifact, arena_bytes: int) -> str:
    """Declarations and constants, all in a namespace that is named for the file, `model` for "model.tflite".

    Args:
        artifact: a `.tflite` file.
        arena_bytes: of TFLite Micro's arena.

    Raises:
        ModelError: the file is damaged.
    """
    graph = read_tflite(artifact)
    labels, _ = read_tflite_metadata(artifact)
    guard = f"EDGE_CNN_{namespace(artifact).upper()}_H_"
    lines = [
        _first_line(artifact),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <cstddef>",
        "#include <cstdint>",
        "",
        f"namespace {namespace(artifact)} {{",
        "",
        "// The file as TFLite Micro reads it, where it lies.",
        f"constexpr std::size_t kDataBytes = {len(artifact.data)};",
        "alignas(16) extern const unsigned char kData[kDataBytes];",
        "",
        "// TFLite Micro's arena, alignas(16): measured with its portable kernels and 64-bit pointers.",
        f"constexpr std::size_t kArenaBytes = {arena_bytes};",
        "",
    ]
    for name, specs in (("Input", graph.inputs), ("Output", graph.outputs)):
        lines += _constants(name, specs)
    if labels:
        lines += [
            f"constexpr std::size_t kClasses = {len(labels)};",
            "extern const char* const kLabels[kClasses];",
            "",
        ]
    return "\n".join([*lines, f"}}  // namespace {namespace(artifact)}", "", f"#endif  // {guard}", ""])


def c_source(artifact: Artifact) -> str:
    """Definitions of what `c_header` declares. Raises: as there."""
    labels, _ = read_tflite_metadata(artifact)
    data = artifact.data
    rows = [
        "    " + "".join(f"{byte:#04x}," for byte in data[i : i + _BYTES_A_LINE])
        for i in range(0, len(data), _BYTES_A_LINE)
    ]
    lines = [
        _first_line(artifact),
        f'#include "{artifact.name.rpartition(".")[0]}.h"',
        "",
        f"namespace {namespace(artifact)} {{",
        "",
        "alignas(16) const unsigned char kData[kDataBytes] = {",
        *rows,
        "};",
        "",
    ]
    if labels:
        lines += ["const char* const kLabels[kClasses] = {", *(f"    {_literal(label)}," for label in labels), "};", ""]
    return "\n".join([*lines, f"}}  // namespace {namespace(artifact)}", ""])


def namespace(artifact: Artifact) -> str:
    """An identifier of C++ from the name of the file."""
    return re.sub(r"\W+|^(?=\d)", "_", artifact.name.rpartition(".")[0], flags=re.ASCII)


def _first_line(artifact: Artifact) -> str:
    return f"// Made by edge_cnn {__version__} from {artifact.name}, SHA-256 {artifact.sha256}"


def _constants(name: str, specs: tuple[TensorSpec, ...]) -> list[str]:
    if len(specs) != 1:
        return []
    (spec,) = specs
    # A dimension that is left open is 1 in TFLite Micro.
    lines = [f"constexpr std::size_t k{name}Elements = {math.prod(max(d, 1) for d in spec.shape)};  // {spec.dtype}"]
    if spec.quantization is not None:
        scale = str(np.float32(spec.quantization.scale))  # The shortest text that means the same float32.
        lines += [
            f"constexpr float k{name}Scale = {scale}f;",
            f"constexpr std::int32_t k{name}ZeroPoint = {spec.quantization.zero_point};",
        ]
    return [*lines, ""]


def _literal(text: str) -> str:
    # Octal, of three digits: a hexadecimal escape would swallow a digit that follows.
    escaped = (_ESCAPES.get(b) or (chr(b) if 32 <= b < 127 and b != ord("?") else f"\\{b:03o}") for b in text.encode())
    return f'"{"".join(escaped)}"'
