"""MLPerf Tiny's float ResNet-8, whose batch is open and whose last pooling has strides of 8, for each accelerator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.compilers.vela import Vela
from converters.export import ExportConfig, ExportData, export_bundle
from converters.sources.load import load_classifier
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import CompilerMissingError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range
from edge_cnn.core.targets import find_target
from tests.converters.compilers.conftest import MLPERF, needs_mlperf, no_step

ETHOS_U = ("ethos-u55", "ethos-u65", "ethos-u85")
CLASSES = tuple(str(i) for i in range(10))

pytestmark = [needs_mlperf, pytest.mark.slow]  # an export of a whole network, and Vela


@pytest.fixture(scope="module")
def exported_resnet8() -> Bundle:
    samples = np.load(MLPERF.parent / "ic01_inputs_200.npz")
    images, labels = samples["x"], samples["y"].astype(np.int64)
    data = ExportData(
        LabelledImages(images[:100], labels[:100], CLASSES), LabelledImages(images[100:], labels[100:], CLASSES)
    )
    config = ExportConfig((*ETHOS_U, "coral-edgetpu"), ("int8",), calibration_samples=100, golden_samples=20)
    source = load_classifier(MLPERF / "pretrainedResnet.tflite")
    return export_bundle(source, data, config, preprocessing=input_range(0.0, 255.0, (32, 32, 3)))


def test_one_file_is_for_all_accelerators(exported_resnet8: Bundle) -> None:
    (entry,) = exported_resnet8.manifest.artifacts
    assert entry.targets == (*ETHOS_U, "coral-edgetpu")
    assert (entry.input.shape, entry.output.shape) == ((1, 32, 32, 3), (1, 10))
    assert entry.host_accuracy is not None
    assert entry.host_accuracy > 0.8


@pytest.mark.parametrize("name", ETHOS_U)
def test_vela_leaves_no_operator_to_the_cpu(exported_resnet8: Bundle, name: str, tmp_path: Path) -> None:
    (artifact,) = exported_resnet8.artifacts
    try:
        report = Vela().compile(artifact, find_target(name), tmp_path, no_step).report
    except CompilerMissingError as error:
        pytest.skip(str(error))
    assert report.cpu_operators == ()
