"""A target is one row: a device that nobody has heard of, and everything that must know of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converters.constraints.table import constraints_of
from converters.constraints.target_page import page
from converters.export import ExportConfig, ExportData, choose_preprocessing, export_bundle
from converters.schemes.plan import plan_artifacts
from converters.sources.load import load_source_model
from edge_cnn.cli.main import main
from edge_cnn.core.errors import ConstraintError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.targets import TARGETS, Memory, Target

TOY = Target(
    "toy-npu",
    "a toy with an accelerator",
    "tflite",
    ("int8",),
    ("tflm", "tflite-runtime==2.8.0"),
    rules=("ethos-u", "memory"),
    memory=Memory(flash=50_000, ram=10_000),
    runtime_options={"threads": 2},
    compiler="vela",
    compiler_options=("--optimise", "Size"),
    note="not for sale",
)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, TOY.name, TOY)


def test_it_is_planned_with_its_rules() -> None:
    (planned,) = plan_artifacts(["toy-npu"])
    assert (planned.name, planned.recipe.scheme, planned.targets) == ("model.tflite", "int8", (TOY,))
    names = {constraint.name for constraint in constraints_of(TOY, "int8")}
    assert {"integer_operators", "operators_of_ethos_u", "file_fits_flash"} <= names


def test_it_is_listed_shown_and_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets"]) == 0
    assert "toy-npu" in capsys.readouterr().out
    assert main(["targets", "toy-npu"]) == 0
    out = capsys.readouterr().out
    for part in ("50,000 bytes of flash", "threads     2", "vela --optimise Size", "not for sale", "Ethos-U55"):
        assert part in out
    assert "| `toy-npu` | a toy with an accelerator |" in page()


@pytest.fixture(scope="module")
def noise() -> ExportData:
    rng = np.random.default_rng(5)

    def part(count: int) -> LabelledImages:
        # Blocks, since calibration refuses plain noise.
        images = rng.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8).repeat(3, axis=1).repeat(2, axis=2)
        return LabelledImages(images, rng.integers(0, 4, count), ("ant", "bee", "cat", "dog"))

    return ExportData(part(160), part(40), {"name": "noise"})


CONFIG = ExportConfig(("toy-npu",), calibration_samples=60, golden_samples=24)


def test_a_model_is_exported_for_it_and_inspected_for_its_runtimes(
    tiny_folder: Path, noise: ExportData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = load_source_model(tiny_folder / "tiny.keras")
    preprocessing, _ = choose_preprocessing(source, None)
    export_bundle(source, noise, CONFIG, preprocessing=preprocessing).write(tmp_path / "m.edgecnn")
    assert main(["inspect", str(tmp_path / "m.edgecnn"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["targets"] == {"model.tflite": ["toy-npu"]}
    assert document["artifacts"][0]["preflight"] == {"tflm": [], "tflite-runtime==2.8.0": []}


def test_what_does_not_fit_it_is_not_exported(
    tiny_folder: Path, noise: ExportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    monkeypatch.setitem(TARGETS, TOY.name, replace(TOY, memory=Memory(flash=50_000, ram=1_000)))
    source = load_source_model(tiny_folder / "tiny.keras")
    preprocessing, _ = choose_preprocessing(source, None)
    with pytest.raises(ConstraintError, match=r"fit the RAM; got 2,880 bytes for 1,000"):
        export_bundle(source, noise, CONFIG, preprocessing=preprocessing)
