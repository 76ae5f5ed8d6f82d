"""The golden samples through one loaded graph, and what came back beside what the host recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import BundleError, DataError
from edge_cnn.core.protocols import Runtime
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.verify.devices.device import Device
from edge_cnn.verify.paired_answers import paired_answers
from edge_cnn.verify.parity import Difference, ParityReport, accuracy, compare, output_hash, top1_agreement

BATCH = 32
"""Samples a request: a small board holds them, and a hang is noticed soon."""


def replay_golden(bundle: Bundle, name: str, device: Device, opened: Runtime) -> ParityReport:
    """Run the golden samples and compare; the view of the logits is loaded after the whole graph.

    Args:
        bundle: with golden samples.
        name: of the artifact.
        device: where it runs.
        opened: the artifact, loaded there; the device may forget it.

    Raises:
        BundleError: no golden outputs of it.
        ModelError, DataError: the runtime refuses the artifact or its inputs.
        DeviceUnavailableError, DeviceFailedError: the device is gone, or the artifact ended the process there.
    """
    golden = bundle.golden
    if golden is None or name not in golden.outputs:
        raise BundleError(f"the bundle has no golden outputs of {name}; export it again with 'edge-cnn export'")
    host = _rows(golden.outputs[name])
    outputs = _run(bundle, golden, opened)
    _check_shape("outputs", host, outputs)
    grid, device_grid = bundle.entry(name).output.quantization, opened.outputs[0].quantization
    logits, logit_codes = _replay_logits(bundle, name, device, opened.name)
    return ParityReport(
        artifact=name,
        device=device.name,
        runtime=opened.name,
        runtime_version=opened.version,
        kernels=opened.kernels(),
        samples=len(host),
        outputs=compare("outputs", host, outputs, grid, device_grid),
        logits=logits,
        top1_agreement=top1_agreement(host, outputs),
        host_accuracy=accuracy(host, golden.labels),
        device_accuracy=accuracy(outputs, golden.labels),
        answers=paired_answers(golden.labels, host, outputs),
        output_sha256=output_hash(outputs, logit_codes),
    )


def first_sample(bundle: Bundle, runtime: Runtime) -> NDArray[Any]:
    """The first golden sample as an input of the graph, (1, ...). Raises: as `replay_golden`."""
    golden = bundle.golden
    if golden is None:
        raise BundleError("the bundle has no golden samples; export it again with 'edge-cnn export'")
    return InputEncoder(bundle.manifest.preprocessing, runtime.inputs[0]).encode(golden.inputs[:1])


def _replay_logits(
    bundle: Bundle, name: str, device: Device, runtime: str
) -> tuple[Difference | None, NDArray[Any] | None]:
    """The logits' difference, and the device's logits; None twice where the golden samples hold none."""
    golden = bundle.golden
    if golden is None or name not in golden.logits:
        return None, None
    split = split_head(bundle.artifact(name))
    host, grid = _rows(golden.logits[name]), split.info.logits.quantization
    logits = _run(bundle, golden, device.open(split.logits_view, runtime))
    _check_shape("logits", host, logits)
    return compare("logits", host, logits, grid, grid), logits


def _run(bundle: Bundle, golden: GoldenSamples, runtime: Runtime) -> NDArray[Any]:
    if len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
        raise DataError(
            f"{len(runtime.inputs)} inputs and {len(runtime.outputs)} outputs; a classifier has one of each"
        )
    encoder = InputEncoder(bundle.manifest.preprocessing, runtime.inputs[0])
    chunks: list[NDArray[Any]] = []
    for start in range(0, len(golden.inputs), BATCH):
        (output,) = runtime.run((encoder.encode(golden.inputs[start : start + BATCH]),))
        chunks.append(_rows(output))
    return np.concatenate(chunks)


def _rows(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)


def _check_shape(tensor: str, host: NDArray[Any], device: NDArray[Any]) -> None:
    if host.shape != device.shape:
        raise DataError(f"{tensor} have shape {device.shape} on the device, {host.shape} in the golden samples")
