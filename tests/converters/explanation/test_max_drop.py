"""`export --max-drop` on a net whose plain int8 loses half of its accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from converters.explanation import mix_search
from converters.explanation.max_drop import MIXED
from converters.export import ExportConfig, ExportData, export_bundle
from edge_cnn.core.errors import AccuracyDropError, InputError
from edge_cnn.core.labelled_images import LabelledImages
from tests.converters.explanation.explaining import UNIT
from tests.converters.skewed_nets import share_right, skewed, source_of

pytestmark = pytest.mark.slow  # a network is trained once, and each export makes and measures several files


@pytest.fixture(scope="module")
def data(digits):
    return ExportData(digits.train.select(np.arange(900)), digits.test.select(np.arange(400)), {"name": "digits"})


@pytest.fixture(scope="module")
def source(depthwise_graph, digits):
    return source_of(skewed(depthwise_graph, 1, [0], 200), digits.train.class_names)


def export(source, data, target="rpi5", **options):
    config = ExportConfig((target,), ("int8",), calibration_samples=150, golden_samples=16, **options)
    return export_bundle(source, data, config, preprocessing=UNIT)


def test_the_bound_is_kept_without_float_layers_where_that_does(source, data):
    bundle = export(source, data, max_drop=0.01)
    (entry,), (artifact,) = bundle.manifest.artifacts, bundle.artifacts
    assert entry.scheme == "int8"
    wanted = share_right(source.float_graph.data, data.test.images, data.test.labels)
    assert wanted - share_right(artifact.data, data.test.images, data.test.labels) <= 0.01
    search = bundle.manifest.provenance["max_drop"]["artifacts"]["model.tflite"]
    assert search["chosen"]["equalized"]
    assert search["held_out"]["part"] == "train"
    assert search["tries"][0]["drop"] > 0.3


def test_the_same_search_gives_the_same_bytes(source, data):
    first, second = (export(source, data, max_drop=0.01) for _ in range(2))
    assert first.artifacts == second.artifacts
    assert first.manifest == second.manifest


def test_without_a_bound_nothing_is_searched(source, data):
    bundle = export(source, data)
    assert "max_drop" not in bundle.manifest.provenance
    assert bundle.manifest.artifacts[0].host_accuracy < 0.7


@pytest.fixture
def float_alone_helps(monkeypatch):
    """As if nothing but float layers helped."""
    monkeypatch.setattr(mix_search, "_without_floats", lambda _: [])


@pytest.mark.usefixtures("float_alone_helps")
def test_layers_stay_in_float_where_only_that_helps(source, data):
    bundle = export(source, data, max_drop=0.01)
    (entry,), (artifact,) = bundle.manifest.artifacts, bundle.artifacts
    assert entry.scheme == MIXED
    excluded = bundle.manifest.provenance["max_drop"]["artifacts"]["model.tflite"]["chosen"]["exclude"]
    assert source.float_graph.layers[1].name in excluded
    assert len(excluded) <= 3
    wanted = share_right(source.float_graph.data, data.test.images, data.test.labels)
    assert wanted - share_right(artifact.data, data.test.images, data.test.labels) <= 0.01
    assert entry.input.quantization is None


@pytest.mark.usefixtures("float_alone_helps")
def test_a_target_of_integers_alone_gets_no_float_layers(source, data):
    with pytest.raises(
        AccuracyDropError,
        match=r"without float layers, which the target does not take, drops .*% on \d+ training samples",
    ):
        export(source, data, "ethos-u55", max_drop=0.01)


def test_samples_that_choose_neither_calibrate_nor_test(source, data, monkeypatch):
    from converters.explanation import max_drop
    from edge_cnn.core.sample_digests import content_hashes

    seen: dict[str, set[bytes]] = {}
    kept = max_drop.held_out_of

    def watched(train: LabelledImages, preprocessing, calibration, seed):
        chosen = kept(train, preprocessing, calibration, seed)
        seen["held out"] = set(content_hashes(chosen.images / np.float32(255)))
        seen["calibration"] = set(content_hashes(calibration.inputs))
        return chosen

    monkeypatch.setattr(max_drop, "held_out_of", watched)
    export(source, data, max_drop=0.01)
    assert len(seen["held out"]) > 100
    assert not seen["held out"] & seen["calibration"]
    assert not seen["held out"] & set(content_hashes(data.test.images / np.float32(255)))


def test_layers_are_left_in_float_by_the_names_that_explain_prints(source, data):
    names = [layer.name for layer in source.float_graph.layers[1:3]]
    bundle = export(source, data, exclude=(names[0], names[1].split(";")[0]))
    (entry,), (artifact,) = bundle.manifest.artifacts, bundle.artifacts
    assert entry.scheme == MIXED
    wanted = share_right(source.float_graph.data, data.test.images, data.test.labels)
    assert wanted - share_right(artifact.data, data.test.images, data.test.labels) <= 0.01


def test_exclusions_that_cannot_be_are_said_in_one_line(source, data):
    with pytest.raises(InputError, match="there is no operator called 'nothing'"):
        export(source, data, exclude=("nothing",))
    with pytest.raises(InputError, match="'ethos-u55' takes no float layers"):
        export(source, data, "ethos-u55", exclude=(source.float_graph.layers[1].name,))
    with pytest.raises(InputError, match="none is made"):
        export(source, data, "rpi5-onnx", exclude=(source.float_graph.layers[1].name,))
