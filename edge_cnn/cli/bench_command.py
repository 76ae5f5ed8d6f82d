"""`edge-cnn bench`: cold start, latency and memory of a model on devices."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.cli.device_options import device_options
from edge_cnn.cli.slot_options import SlotOrFile
from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.bundle import SUFFIX, read_bundle
from edge_cnn.core.errors import RuntimeUnavailableError
from edge_cnn.verify.devices.device import Device, check_runtime, choose_runtime
from edge_cnn.verify.devices.table import device_names, parse_device
from edge_cnn.verify.latency import Input, LatencyReport, measure


@click.command("bench")
@click.argument("model", type=SlotOrFile())
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the runtime.")
@click.option("--repeats", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="Measured runs.")
@common_options
@device_options
def command(
    console: Console, model: Path, devices: tuple[str, ...], limit_s: float, threads: int, repeats: int
) -> None:
    """Measure MODEL on each DEVICE: a .tflite or .onnx file, or every artifact of a .edgecnn bundle.

    Cold start is the time from the start of a fresh process to its first output; latencies are at batch 1, on a golden
    sample of the bundle or else on random values.
    """
    artifacts, sample = _read(model)
    rng = np.random.default_rng(console.seed)
    opened = [parse_device(name, limit_s=limit_s) for name in device_names(devices)]
    try:
        pairs = [pair for device in opened for pair in _plan(console, device, artifacts)]
    finally:
        # Measurements start agents of their own; one that waits would take memory from them.
        for device in opened:
            device.close()
    reports: list[LatencyReport] = []
    with console.progress("measuring", len(pairs)) as update:
        for done, (device, artifact, runtime) in enumerate(pairs, start=1):
            reports.append(measure(artifact, device, runtime, threads=threads, repeats=repeats, rng=rng, sample=sample))
            update(done, f"{artifact.name} on {device.name}")
    console.result({"results": [report.to_json() for report in reports]}, _drawn(reports))


def _read(model: Path) -> tuple[tuple[Artifact, ...], Input]:
    if model.suffix.lower() != SUFFIX:
        return (read_artifact(model),), Input()
    bundle = read_bundle(model)
    images = bundle.golden.inputs[:1] if bundle.golden is not None and len(bundle.golden.inputs) else None
    return bundle.artifacts, Input(images, bundle.manifest.preprocessing)


def _plan(console: Console, device: Device, artifacts: tuple[Artifact, ...]) -> list[tuple[Device, Artifact, str]]:
    check_runtime(device)
    pairs: list[tuple[Device, Artifact, str]] = []
    for artifact in artifacts:
        runtime = choose_runtime(device, artifact)
        if runtime is not None:
            pairs.append((device, artifact, runtime))
        else:
            console.note(f"{artifact.name} on {device.name}: not run, no runtime there loads .{artifact.format} files")
    if not pairs:
        raise RuntimeUnavailableError(
            f"device {device.name!r} has no runtime for {', '.join(a.name for a in artifacts)}; "
            "install one there with pip install 'edge-cnn[litert]' or 'edge-cnn[onnx]'"
        )
    return pairs


def _drawn(reports: list[LatencyReport]) -> str:
    header = ("artifact", "device", "runtime", "kernels", "threads", "cold ms", "p50 us", "p90 us", "p99 us", "MiB")
    return table(header, [_row(report) for report in reports])


def _row(report: LatencyReport) -> list[str]:
    times = [f"{report.percentile(share):.0f}" for share in (0.5, 0.9, 0.99)]
    names = [report.artifact, report.device, report.runtime, report.kernels, str(report.threads)]
    return [*names, f"{report.cold_start_ms:.0f}", *times, f"{report.peak_memory_mb:.1f}"]
