"""The C++ source, judged by a compiler and by what the compiled program prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.compilers.c_array import c_header, c_source, namespace
from converters.metadata.tflite_metadata import add_tflite_metadata
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.preprocessing import input_range
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.label_file import split_archive
from edge_cnn.device.tflite.metadata import read_tflite_metadata

CXX = next((found for found in map(shutil.which, ("c++", "g++", "clang++")) if found), None)
needs_cxx = pytest.mark.skipif(CXX is None, reason="no C++ compiler here; install g++")

ODD_LABELS = ('say "hi"', "back\\slash", "what??/ now", "größe", "1\t2", "%d", "猫", "0x", "eight", "nine")

MAIN = r"""
#include "STEM.h"
#include <cstdio>
static_assert(STEM_::kArenaBytes == 4240, "arena");
int main() {
  using namespace STEM_;
  std::fwrite(kData, 1, sizeof kData, stdout);
  std::fprintf(stderr, "%d %zu %.9g %d %.9g %d\n", static_cast<int>(reinterpret_cast<std::uintptr_t>(kData) % 16),
               kInputElements, kInputScale, kInputZeroPoint, kOutputScale, kOutputZeroPoint);
  for (std::size_t i = 0; i < kClasses; ++i) std::fprintf(stderr, "%s\n", kLabels[i]);
}
"""
FLOAT_MAIN = (
    '#include "STEM.h"\n#include <cstdio>\nint main() { std::fwrite(STEM_::kData, 1, STEM_::kDataBytes, stdout); }'
)


def built(artifact: Artifact, folder: Path, main: str, standard: str = "c++11") -> tuple[bytes, list[str]]:
    """stdout, and the lines of stderr, of a program of the sources."""
    stem = artifact.name.removesuffix(".tflite")
    (folder / f"{stem}.h").write_text(c_header(artifact, 4240))
    (folder / f"{stem}.cc").write_text(c_source(artifact))
    (folder / "main.cc").write_text(main.replace("STEM_", namespace(artifact)).replace("STEM", stem))
    flags = (f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wtrigraphs")
    assert CXX is not None
    subprocess.run([CXX, *flags, "main.cc", f"{stem}.cc", "-o", "program"], cwd=folder, check=True)
    child = subprocess.run([folder / "program"], capture_output=True, check=True)
    return child.stdout, child.stderr.decode().split("\n")


def relabelled(artifact: Artifact, labels: tuple[str, ...]) -> Artifact:
    plain, _ = split_archive(artifact.data)
    preprocessing = input_range(0.0, 1.0, (28, 28, 1))
    data = add_tflite_metadata(plain, name="odd", labels=labels, preprocessing=preprocessing, producer="test")
    return replace(artifact, data=data)


@needs_cxx
@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_a_program_holds_the_very_bytes_aligned_and_the_constants(
    artifacts: dict[str, Artifact], tmp_path: Path, standard: str
) -> None:
    artifact = artifacts["int8.tflite"]
    stdout, (figures, *labels) = built(artifact, tmp_path, MAIN, standard)
    assert stdout == artifact.data
    (entry,), (out,) = read_tflite(artifact).inputs, read_tflite(artifact).outputs
    assert entry.quantization is not None
    assert out.quantization is not None
    rest, elements, scale, zero_point, out_scale, out_zero_point = figures.split()
    assert (rest, int(elements)) == ("0", int(np.prod(entry.shape[1:])))
    assert (np.float32(scale), int(zero_point)) == (np.float32(entry.quantization.scale), entry.quantization.zero_point)
    assert (np.float32(out_scale), int(out_zero_point)) == (np.float32(1 / 256), -128)
    assert tuple(labels[:-1]) == read_tflite_metadata(artifact)[0]


@needs_cxx
def test_labels_of_any_letters_come_back(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    artifact = relabelled(artifacts["int8.tflite"], ODD_LABELS)
    assert read_tflite_metadata(artifact)[0] == ODD_LABELS
    stdout, (_, *labels) = built(artifact, tmp_path, MAIN)
    assert stdout == artifact.data
    assert tuple(labels[:-1]) == ODD_LABELS


@needs_cxx
def test_a_float_model_has_no_scales_and_its_name_becomes_an_identifier(
    artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    artifact = replace(artifacts["float32.tflite"], name="model-float32.tflite")
    assert namespace(artifact) == "model_float32"
    stdout, _ = built(artifact, tmp_path, FLOAT_MAIN)
    assert stdout == artifact.data
    assert "Scale" not in c_header(artifact, 16)


def test_names_become_identifiers() -> None:
    names = {"model.tflite": "model", "a-b.c.tflite": "a_b_c", "8bit.tflite": "_8bit", "größe.tflite": "gr_e"}
    found = {name: namespace(Artifact(name, "tflite", b"")) for name in names}
    assert json.dumps(found) == json.dumps(names | {"größe.tflite": found["größe.tflite"]})
    assert found["größe.tflite"].isascii()
    assert all(text.isidentifier() for text in found.values())
