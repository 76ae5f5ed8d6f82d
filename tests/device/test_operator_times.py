import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import AcceleratorUnavailableError, ModelError, RuntimeUnavailableError
from edge_cnn.device.runtimes.operator_times import OperatorTime, operator_times, profile_operators


def event(name, us, index="0", op="Conv", cat="Node"):
    arguments = {"node_index": index, "op_name": op, "provider": "CPUExecutionProvider"}
    return {"cat": cat, "name": name, "dur": us, "args": arguments}


def test_times_are_medians_of_the_runs_after_the_warm_up_in_the_order_of_execution():
    runs = [[900, 50], [11, 5], [10, 7], [30, 6]]
    events = [{"cat": "Session", "name": "session_initialization", "dur": 10_000, "args": {}}]
    for conv, softmax in runs:
        events.append(event("conv_fence_before", 400))
        events.append(event("conv_kernel_time", conv, "1"))
        events.append(event("_kernel_time", softmax, "2", "Softmax"))
        events.append({"cat": "Session", "name": "model_run", "dur": 1_000, "args": {}})
    assert operator_times(events, warmup=1, artifact="model.onnx") == [
        OperatorTime("conv", "Conv", "CPUExecutionProvider", 11.0),
        OperatorTime("", "Softmax", "CPUExecutionProvider", 6.0),
    ]


def test_nodes_of_one_name_stay_apart():
    events = [event("same_kernel_time", 3, "1"), event("same_kernel_time", 9, "2")]
    assert [operator.us for operator in operator_times(events, warmup=0, artifact="m")] == [3.0, 9.0]


def test_a_profile_without_operators_is_an_error():
    with pytest.raises(ModelError, match=r"model\.onnx names no operators"):
        operator_times([event("conv_kernel_time", 5)], warmup=1, artifact="model.onnx")


def test_onnx_runtime_names_the_operators_of_the_file(artifacts):
    artifact = artifacts["float32.onnx"]
    image = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    times = profile_operators(artifact, "onnxruntime", (image,), threads=1, warmup=1, repeats=3)
    onnx = pytest.importorskip("onnx")
    nodes = onnx.load_from_string(artifact.data).graph.node
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    # The runtime fuses an activation into a convolution and keeps their number.
    assert len([operator for operator in times if "Conv" in operator.op]) == len(convolutions) > 1
    assert {operator.provider for operator in times} == {"CPUExecutionProvider"}
    assert all(operator.us >= 0 for operator in times)
    assert [OperatorTime.from_json(operator.to_json()) for operator in times] == times


def test_a_file_that_onnx_runtime_refuses_is_refused():
    with pytest.raises(ModelError, match=r"cannot profile cut\.onnx"):
        profile_operators(Artifact("cut.onnx", "onnx", b"\x08\x09"), "onnxruntime", (), threads=1, warmup=0, repeats=1)


@pytest.mark.parametrize("runtime", ["litert", "litert-ref", "tflite-runtime", "tflm", "tosa-ref"])
def test_a_runtime_that_tells_none_is_named_with_the_one_that_does(runtime):
    with pytest.raises(RuntimeUnavailableError, match=f"{runtime} tells no times .* ONNX Runtime does"):
        profile_operators(Artifact("m.tflite", "tflite", b""), runtime, (), threads=1, warmup=0, repeats=1)


def test_an_accelerator_that_is_not_there_is_never_profiled_on_the_cpu_instead(artifacts):
    image = np.zeros((1, 1, 28, 28), np.float32)
    with pytest.raises(AcceleratorUnavailableError):
        profile_operators(artifacts["float32.onnx"], "onnxruntime-cuda", (image,), threads=1, warmup=0, repeats=1)
