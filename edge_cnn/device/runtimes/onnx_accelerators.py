"""Execution providers of ONNX Runtime other than the CPU's: asked for strictly, and told when they are not there.

A session that was asked for CUDA runs on the CPU without a word where there is none, and lists CUDA among the available
providers all the same. So the fallback to the CPU is switched off, and the session's own providers are looked at.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import AcceleratorUnavailableError, ModelError
from edge_cnn.device.native_output import captured_native_stderr
from edge_cnn.device.runtimes.onnx_residency import node_shares

_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_LIBRARY_MISSING = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")
_ALL_LINES = 100


@dataclass(frozen=True)
class OnnxAccelerator:
    """One execution provider.

    Attributes:
        runtime: RUNTIME as users type it.
        provider: as ONNX Runtime calls it.
        family: kernel family.
        needs: what a machine must have, for messages.
        plugin: the package that brings the provider as a plug-in; None where ONNX Runtime itself was built with it.
        options: of the provider; a value that names a function of the plug-in is replaced by what that gives.
        fixed_batch: it compiles for one batch size, so the batch is 1.
    """

    runtime: str
    provider: str
    family: str
    needs: str
    plugin: str | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    fixed_batch: bool = False


CUDA = OnnxAccelerator(
    "onnxruntime-cuda",
    "CUDAExecutionProvider",
    "ort-cuda",
    "an NVIDIA GPU with its driver, CUDA and cuDNN",
)
TENSORRT = OnnxAccelerator(
    "onnxruntime-tensorrt",
    "TensorrtExecutionProvider",
    "ort-tensorrt",
    "an NVIDIA GPU with its driver, CUDA, cuDNN and TensorRT",
)
QNN = OnnxAccelerator(
    "onnxruntime-qnn",
    "QNNExecutionProvider",
    "ort-qnn",
    "a Qualcomm HTP, or its simulator on x86-64 Linux",
    plugin="onnxruntime_qnn",
    options={"backend_path": "get_qnn_htp_path"},
    fixed_batch=True,
)
WEBGPU = OnnxAccelerator(
    "onnxruntime-webgpu",
    "WebGpuExecutionProvider",
    "ort-webgpu",
    "a GPU with a driver for Vulkan, Metal or Direct3D",
)


ACCELERATORS = {accelerator.runtime: accelerator for accelerator in (CUDA, TENSORRT, QNN, WEBGPU)}


def open_session(library: Any, artifact: Artifact, accelerator: OnnxAccelerator, new_options: Callable[[], Any]) -> Any:
    """A session that runs wholly on the accelerator.

    Args:
        library: the module onnxruntime.
        artifact: an `.onnx` file.
        accelerator: what to run it on.
        new_options: makes session options.

    Raises:
        AcceleratorUnavailableError: it is not there, or takes not all of the graph.
        ModelError: the file is no model.
    """
    _register(library, accelerator)
    with captured_native_stderr(_ALL_LINES) as native_lines:
        try:
            session = _start(library, artifact, accelerator, new_options(), strict=True)
        # ONNX Runtime's own exceptions (Fail, InvalidGraph, NotImplemented, ...) have no common public base.
        except Exception as error:
            raise _explained(library, artifact, accelerator, new_options, error, native_lines) from error
        if accelerator.provider not in session.get_providers():
            raise _unavailable(accelerator, f"the session runs on {', '.join(session.get_providers())}")
    return session


def open_profiled(
    library: Any, artifact: Artifact, accelerator: OnnxAccelerator, new_options: Callable[[], Any]
) -> tuple[Any, dict[str, float]]:
    """As `open_session`, with the share of nodes that each provider ran in one inference on zeros.

    Profiling ends with that inference: it is the session's first, which compiles and allocates in any case.

    Raises:
        AcceleratorUnavailableError, ModelError: as `open_session`; and the former where any node ran elsewhere.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:

        def profiled_options() -> Any:
            options = new_options()
            options.enable_profiling = True
            options.profile_file_prefix = f"{folder}/profile"
            return options

        session = open_session(library, artifact, accelerator, profiled_options)
        try:
            shares = node_shares(session)
        # As in open_session: no common public base.
        except Exception as error:
            detail = " ".join(str(error).split())
            raise ModelError(f"{accelerator.runtime} cannot run {artifact.name} on zeros: {detail}") from error
    if set(shares) != {accelerator.provider}:
        told = ", ".join(f"{share:.0%} on {provider}" for provider, share in shares.items()) or "no node ran"
        raise _unavailable(accelerator, f"it ran {told}")
    return session, shares


def _register(library: Any, accelerator: OnnxAccelerator) -> None:
    available = library.get_available_providers()
    if accelerator.provider in available:
        return
    if accelerator.plugin is None:
        raise _unavailable(accelerator, f"this ONNX Runtime was built with {', '.join(available)} only")
    library.register_execution_provider_library(accelerator.provider, _plugin(accelerator).get_library_path())


def _plugin(accelerator: OnnxAccelerator) -> Any:
    assert accelerator.plugin is not None
    return importlib.import_module(accelerator.plugin)


def _start(library: Any, artifact: Artifact, accelerator: OnnxAccelerator, options: Any, *, strict: bool) -> Any:
    if strict:
        options.add_session_config_entry(_NO_FALLBACK, "1")
    if accelerator.fixed_batch:
        for name in _free_dimensions(library, artifact):
            options.add_free_dimension_override_by_name(name, 1)
    if accelerator.plugin is None:
        # Without enable_fallback=0 the Python wrapper tries again with the CPU, and prints that it does.
        return library.InferenceSession(artifact.data, options, providers=[accelerator.provider], enable_fallback=0)
    devices = [device for device in library.get_ep_devices() if device.ep_name == accelerator.provider]
    if not devices:
        raise _unavailable(accelerator, "its plug-in finds no device")
    plugin = _plugin(accelerator)
    given = {key: str(getattr(plugin, value)()) for key, value in accelerator.options.items()}
    options.add_provider_for_devices(devices[:1], given)
    return library.InferenceSession(artifact.data, options)


def _free_dimensions(library: Any, artifact: Artifact) -> list[str]:
    """Names of the first dimension of each input, where the file leaves it open."""
    session = library.InferenceSession(artifact.data, providers=["CPUExecutionProvider"])
    return sorted({tensor.shape[0] for tensor in session.get_inputs() if isinstance(tensor.shape[0], str)})


def _explained(
    library: Any,
    artifact: Artifact,
    accelerator: OnnxAccelerator,
    new_options: Callable[[], Any],
    error: Exception,
    native_lines: Callable[[], str],
) -> AcceleratorUnavailableError | ModelError:
    """Why a strict session does not start: no model, no accelerator, or a graph that it takes not all of."""
    if isinstance(error, AcceleratorUnavailableError):
        return error
    detail = " ".join(str(error).split())
    try:
        library.InferenceSession(artifact.data, new_options(), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  # as in open_session: no common public base
        return ModelError(f"{accelerator.runtime} refuses {artifact.name}: {detail}; see 'edge-cnn inspect'")
    try:
        lenient = _start(library, artifact, accelerator, new_options(), strict=False)
    except Exception as second:  # noqa: BLE001  # as above
        return _unavailable(accelerator, _missing_library(native_lines()) or " ".join(str(second).split()))
    if accelerator.provider not in lenient.get_providers():
        return _unavailable(accelerator, _missing_library(native_lines()) or detail)
    return AcceleratorUnavailableError(
        f"{accelerator.runtime}: {accelerator.provider} takes not all operators of {artifact.name}, and what the CPU "
        f"computes for it is no answer; export it for a target of that accelerator"
    )


def _missing_library(said: str) -> str | None:
    found = _LIBRARY_MISSING.search(said)
    return f"{found[1]} is not installed" if found else None


def _unavailable(accelerator: OnnxAccelerator, detail: str) -> AcceleratorUnavailableError:
    return AcceleratorUnavailableError(
        f"{accelerator.runtime}: {accelerator.provider} was asked for and cannot run here: {detail}; "
        f"it needs {accelerator.needs}"
    )
