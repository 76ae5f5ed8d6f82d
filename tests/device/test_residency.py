"""Which kernels ran which share of the operators of a TFLite file."""

import os
from pathlib import Path

import pytest

from edge_cnn.core.artifact import read_artifact
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.device.tflite.file import read_tflite

DATA = Path(os.environ.get("EDGE_CNN_DATA", "")) / "mlperf_tiny"
LEFT_BY_XNNPACK = {"SOFTMAX", "AVERAGE_POOL_2D"}
"""XNNPACK has no kernels for these in int8 (its list of supported operators in LiteRT)."""


def expected_share(artifact):
    names = [operator.name for operator in read_tflite(artifact).main.operators]
    return sum(name not in LEFT_BY_XNNPACK for name in names) / len(names)


@pytest.mark.skipif(not DATA.is_dir(), reason="set EDGE_CNN_DATA to a folder with mlperf_tiny")
@pytest.mark.parametrize("model", ["pretrainedResnet_quant", "kws_ref_model"])
def test_the_share_of_xnnpack_is_that_of_the_operators_it_has_kernels_for(model):
    artifact = read_artifact(DATA / "models" / f"{model}.tflite")
    kernels = open_runtime(artifact, "litert").kernels()
    assert kernels.family == "xnnpack"
    assert kernels.shares["XNNPACK"] == pytest.approx(expected_share(artifact))
    assert kernels.shares["builtin"] == pytest.approx(1 - expected_share(artifact))


def test_an_int8_network_of_ours_leaves_its_softmax_to_the_builtin_kernels(artifacts):
    shares = open_runtime(artifacts["int8.tflite"], "litert").kernels().shares
    assert shares["XNNPACK"] == pytest.approx(expected_share(artifacts["int8.tflite"]))
    assert sum(shares.values()) == pytest.approx(1)


def test_a_float_network_is_xnnpacks_alone(artifacts):
    assert open_runtime(artifacts["float32.tflite"], "litert").kernels().shares == {"XNNPACK": 1.0}


def test_reference_kernels_are_alone_and_a_delegates_absence_is_told(artifacts):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runtime = open_runtime(artifacts["int8.tflite"], "litert-ref")
    assert runtime.kernels().shares == {"reference": 1.0}
    other = open_runtime(artifacts["int8.tflite"], "litert")
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    other._interpreter = Interpreter(
        model_content=artifacts["int8.tflite"].data, experimental_op_resolver_type=resolver
    )
    other._interpreter.allocate_tensors()
    assert (other.kernels().family, other.kernels().shares) == ("tflite-builtin", {"builtin": 1.0})
