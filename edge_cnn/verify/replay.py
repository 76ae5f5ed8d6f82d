"""Replay golden samples on a device and judge what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import SUFFIX, Bundle, read_bundle
from edge_cnn.core.errors import (
    BundleError,
    DataError,
    EdgeCnnError,
    InputError,
    RuntimeUnavailableError,
    UnavailableError,
)
from edge_cnn.core.protocols import Runtime
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.core.tolerance import tolerance_of
from edge_cnn.device.head_surgery import split_head
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.verify.agent_client import LIMIT_S
from edge_cnn.verify.devices.device import Device, check_runtime, choose_runtime
from edge_cnn.verify.devices.table import device_names, parse_device
from edge_cnn.verify.parity import Difference, ParityReport, accuracy, compare, top1_agreement
from edge_cnn.verify.tolerance_check import Verdict, check, golden_fault, spec_fault
from edge_cnn.verify.verify_result import Skipped, VerifyReport, VerifyResult

BATCH = 32
"""Samples a request: a small board holds them, and a hang is noticed soon."""


def _ignore(result: VerifyResult) -> None:
    del result


def verify(
    path: str | Path,
    device: str | Sequence[str] = "local",
    *,
    limit_s: float = LIMIT_S,
    on_result: Callable[[VerifyResult], None] = _ignore,
) -> VerifyReport:
    """Replay a bundle's golden samples: every artifact on every device that has a runtime for it.

    Args:
        path: a `.edgecnn` bundle.
        device: DEVICE, or several.
        limit_s: seconds that one request to a device may take.
        on_result: told of each result as it comes.

    Raises:
        InputError, BundleError: not a bundle, no golden samples, or an unknown device.
        DeviceUnavailableError, RuntimeUnavailableError: a device is not there, or runs none of the artifacts.
    """
    bundle = read_verifiable(Path(path))
    names = (device,) if isinstance(device, str) else tuple(device)
    if not names:
        raise InputError("no device to verify on; give at least one, for example local")
    devices = [parse_device(name, limit_s=limit_s) for name in device_names(names)]
    try:
        # All of them first: half an answer after minutes is worse than none at once.
        plans = [_plan(bundle, d) for d in devices]
        results: list[VerifyResult] = []
        skipped: list[Skipped] = []
        for current, (pairs, left_out) in zip(devices, plans, strict=True):
            skipped += left_out
            for artifact, runtime in pairs:
                results.append(judge(bundle, artifact.name, current, runtime))
                on_result(results[-1])
    finally:
        for d in devices:
            d.close()
    return VerifyReport(Path(path).name, tuple(results), tuple(skipped))


def read_verifiable(path: Path) -> Bundle:
    """Read a bundle that has golden samples.

    Raises:
        InputError: it is a bare model, which carries none.
        BundleError: damaged, or without golden samples.
    """
    if path.suffix.lower() != SUFFIX and path.exists():
        raise InputError(
            f"{path} carries no golden samples to compare with; verify takes a {SUFFIX} bundle, "
            "make one with 'edge-cnn export'"
        )
    bundle = read_bundle(path)
    if bundle.golden is None or len(bundle.golden.labels) == 0:
        raise BundleError(f"{path} has no golden samples; export it again with 'edge-cnn export'")
    missing = [a.name for a in bundle.artifacts if a.name not in bundle.golden.outputs]
    if missing:
        raise BundleError(f"{path} has no golden outputs of {missing[0]}; export it again with 'edge-cnn export'")
    return bundle


def _plan(bundle: Bundle, device: Device) -> tuple[list[tuple[Artifact, str]], list[Skipped]]:
    check_runtime(device)
    pairs: list[tuple[Artifact, str]] = []
    skipped: list[Skipped] = []
    for artifact in bundle.artifacts:
        runtime = choose_runtime(device, artifact)
        if runtime is not None:
            pairs.append((artifact, runtime))
        else:
            what = device.wanted_runtime or "no runtime there"
            verb = "loads no" if device.wanted_runtime else "loads"
            skipped.append(Skipped(artifact.name, device.name, f"{what} {verb} .{artifact.format} files"))
    if not pairs:
        held = ", ".join(artifact.name for artifact in bundle.artifacts)
        has = device.wanted_runtime or "its runtimes"
        raise RuntimeUnavailableError(
            f"device {device.name!r} can run none of {held}: {has} loads other formats; "
            "install a runtime there with pip install 'edge-cnn[litert]' or 'edge-cnn[onnx]'"
        )
    return pairs, skipped


def judge(bundle: Bundle, name: str, device: Device, runtime: str) -> VerifyResult:
    """Replay one artifact and hold it against its tolerance; what goes wrong with this artifact becomes the verdict.

    Raises:
        UnavailableError: the device itself is gone.
    """
    entry = bundle.entry(name)
    try:
        opened = device.open(bundle.artifact(name), runtime)
        family = opened.kernels().family
        fault = spec_fault(entry, opened)
        if fault:
            return VerifyResult(name, device.name, runtime, family, None, None, Verdict(False, fault))
        report = _replay(bundle, name, device, opened)
    except UnavailableError:
        raise
    except EdgeCnnError as error:
        # Refused, crashed or hung: an answer about this artifact, and the others still want theirs.
        return VerifyResult(name, device.name, runtime, "", None, None, Verdict(False, str(error)))
    tolerance = tolerance_of(family, entry.tolerances, entry.format)
    if tolerance is None:
        known = ", ".join(entry.tolerances) or "none"
        verdict = Verdict(False, f"the manifest has no tolerance for {family} kernels, only {known}; export it again")
    else:
        fault = golden_fault(entry, report.host_accuracy, report.samples)
        verdict = Verdict(False, fault) if fault else check(report, tolerance)
    return VerifyResult(name, device.name, runtime, family, report, tolerance, verdict)


def replay(bundle: Bundle, name: str, device: Device, runtime: str | None = None) -> ParityReport:
    """Run the golden samples through one artifact on one device and compare.

    Args:
        bundle: with golden samples.
        name: of the artifact.
        device: where it runs; its at most one open artifact is replaced.
        runtime: RUNTIME name; by default the device's first one for the format.

    Raises:
        BundleError: no such artifact, or no golden outputs of it.
        RuntimeUnavailableError: no runtime there takes it.
        ModelError, DataError: the runtime refuses the artifact or its inputs.
        DeviceUnavailableError, DeviceFailedError: the device is not there, or the artifact ended the process there.
    """
    artifact = bundle.artifact(name)
    chosen = runtime or choose_runtime(device, artifact)
    if chosen is None:
        raise RuntimeUnavailableError(
            f"device {device.name!r} has no runtime for {name}; choose a device that loads .{artifact.format} files"
        )
    return _replay(bundle, name, device, device.open(artifact, chosen))


def _replay(bundle: Bundle, name: str, device: Device, opened: Runtime) -> ParityReport:
    golden = bundle.golden
    if golden is None or name not in golden.outputs:
        raise BundleError(f"the bundle has no golden outputs of {name}; export it again with 'edge-cnn export'")
    host = _rows(golden.outputs[name])
    outputs = _run(bundle, golden, opened)
    _check_shape("outputs", host, outputs)
    return ParityReport(
        artifact=name,
        device=device.name,
        runtime=opened.name,
        runtime_version=opened.version,
        kernels=opened.kernels(),
        samples=len(host),
        outputs=compare(
            "outputs", host, outputs, bundle.entry(name).output.quantization, opened.outputs[0].quantization
        ),
        logits=_replay_logits(bundle, name, device, opened.name),
        top1_agreement=top1_agreement(host, outputs),
        host_accuracy=accuracy(host, golden.labels),
        device_accuracy=accuracy(outputs, golden.labels),
    )


def _replay_logits(bundle: Bundle, name: str, device: Device, runtime: str) -> Difference | None:
    golden = bundle.golden
    if golden is None or name not in golden.logits:
        return None
    split = split_head(bundle.artifact(name))
    host, grid = _rows(golden.logits[name]), split.info.logits.quantization
    logits = _run(bundle, golden, device.open(split.logits_view, runtime))
    _check_shape("logits", host, logits)
    return compare("logits", host, logits, grid, grid)


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
