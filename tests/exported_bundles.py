"""How the networks that tests share are exported; each function gets the folder with the trained ones in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_cnn.core.labelled_images import LabelledImages
from tests.trained_networks import coloured, eight_digits


def export_lenet(folder: Path) -> None:
    """Write model.edgecnn and cpu.edgecnn beside model.keras."""
    from edge_cnn.host.datasets import load_dataset

    digits = load_dataset("digits")
    _export_lenet(folder, [digits.train, digits.test])


def export_lenet_of_eight_digits(folder: Path) -> None:
    """As `export_lenet`."""
    _export_lenet(folder, eight_digits())


def export_resnet8(folder: Path) -> None:
    """Write model.edgecnn and dropped.edgecnn: int8 .tflite for rpi5, QDQ .onnx with uint8 activations for CPUs."""
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model
    from edge_cnn.core.preprocessing import input_range
    from edge_cnn.host.datasets import load_dataset

    digits = load_dataset("digits")
    # The export measures on all test samples, and the reference kernels are slow.
    few = digits.test.select(slice(300))
    data = ExportData(coloured(digits.train, 1), coloured(few, 2), {"name": "digits in colour"})
    config = ExportConfig(("rpi5", "rpi5-onnx"), ("int8",), calibration_samples=200)
    for name in ("model", "dropped"):
        source = load_source_model(folder / f"{name}.keras")
        preprocessing = input_range(0.0, 1.0, (32, 32, 3))
        export_bundle(source, data, config, preprocessing=preprocessing).write(folder / f"{name}.edgecnn")


def _export_lenet(folder: Path, parts: Sequence[LabelledImages]) -> None:
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model

    source = load_source_model(folder / "model.keras")
    assert source.preprocessing is not None
    data = ExportData(*parts, {"name": "digits"})
    for name, targets, schemes in (
        ("model.edgecnn", ("rpi5", "jetson-orin"), ("int8", "float32")),
        ("cpu.edgecnn", ("rpi5-onnx",), ("int8",)),
    ):
        config = ExportConfig(targets, schemes)
        export_bundle(source, data, config, preprocessing=source.preprocessing).write(folder / name)
