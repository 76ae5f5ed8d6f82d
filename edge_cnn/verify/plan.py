"""What a verification is going to run: a bundle with golden samples, and which artifact meets which runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.bundle import SUFFIX, Bundle, read_bundle
from edge_cnn.core.errors import BundleError, InputError, RuntimeUnavailableError
from edge_cnn.verify.devices.device import Device, check_runtime, choose_runtime
from edge_cnn.verify.verify_result import Skipped


@dataclass(frozen=True)
class Plan:
    """What one device is asked to do.

    Attributes:
        device: where.
        pairs: (artifact name, RUNTIME), in the order of the manifest.
        skipped: artifacts that it has no runtime for.
    """

    device: Device
    pairs: tuple[tuple[str, str], ...]
    skipped: tuple[Skipped, ...]


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


def plan(bundle: Bundle, device: Device) -> Plan:
    """Which artifacts `device` runs, and with which runtime.

    Raises:
        RuntimeUnavailableError: it runs none of them.
        DeviceUnavailableError: it is not there.
    """
    check_runtime(device)
    pairs: list[tuple[str, str]] = []
    skipped: list[Skipped] = []
    for artifact in bundle.artifacts:
        runtime = choose_runtime(device, artifact)
        if runtime is not None:
            pairs.append((artifact.name, runtime))
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
    return Plan(device, tuple(pairs), tuple(skipped))
