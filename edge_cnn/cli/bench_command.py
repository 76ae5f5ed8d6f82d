"""`edge-cnn bench`: cold start, latency and memory of a model on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from edge_cnn.cli.bench_table import draw
from edge_cnn.cli.console import PATH, Console, common_options
from edge_cnn.cli.device_options import device_options, left_out
from edge_cnn.cli.output_path import check_page
from edge_cnn.cli.slot_options import SlotOrFile
from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import SUFFIX, read_bundle
from edge_cnn.core.errors import DeviceFailedError, EdgeCnnError, InputError, RuntimeUnavailableError
from edge_cnn.verify.devices.device import Device, check_runtime, choose_runtime
from edge_cnn.verify.devices.table import device_names, parse_device
from edge_cnn.verify.latency import Input, measure
from edge_cnn.verify.latency_report import LatencyReport

MAX_THREADS = 1024


def _parse_threads(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[int, ...]:
    """("1,2", "4") -> (1, 2, 4), each once."""
    counts: list[int] = []
    for part in ",".join(texts).split(","):
        try:
            counts.append(int(part))
        except ValueError:
            counts.append(0)
        if not 1 <= counts[-1] <= MAX_THREADS:
            raise click.BadParameter(
                f"threads must be 1 to {MAX_THREADS}, for example 1,2,4; got {part!r}", context, option
            )
    return tuple(dict.fromkeys(counts))


@click.command("bench")
@click.argument("model", type=SlotOrFile())
@click.option(
    "--threads",
    multiple=True,
    default=("1",),
    show_default="1",
    metavar="N[,N...]",
    callback=_parse_threads,
    help="Of the runtime; several give a row each.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1_000_000),
    default=200,
    show_default=True,
    help="Measured runs; throttling needs minutes of them to show.",
)
@click.option("--per-operator", is_flag=True, help="Also the time of each operator, where the runtime tells it.")
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page with the distributions.")
@common_options
@device_options
def command(
    console: Console,
    model: Path,
    devices: tuple[str, ...],
    limit_s: float,
    threads: tuple[int, ...],
    repeats: int,
    per_operator: bool,
    report: Path | None,
) -> int:
    """Measure MODEL on each DEVICE: a .tflite or .onnx file, or every artifact of a .edgecnn bundle.

    Cold start is the time from the start of a fresh process to its first output; latencies are at batch 1, on a golden
    sample of the bundle or else on random values. No run is left out of a percentile. Of an emulated device no times
    are shown, since they say nothing about the hardware. An artifact that is refused or crashes there is told, the
    others are measured, and the exit status is 1.
    """
    check_page(report, {"MODEL": model})
    not_ready = left_out(devices, console)
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
    failures: list[tuple[dict[str, Any], EdgeCnnError]] = []
    options: dict[str, Any] = {"repeats": repeats, "per_operator": per_operator, "rng": rng, "sample": sample}
    if len(threads) > 1 and any(device.emulated for device in opened):
        console.note(f"emulated devices run with {threads[0]} thread{'s' if threads[0] > 1 else ''}: no time is shown")
    # Threads change nothing where no time is shown.
    cases = [(*pair, count) for pair in pairs for count in (threads[:1] if pair[0].emulated else threads)]
    with console.progress("measuring", len(cases)) as update:
        for done, (device, artifact, runtime, count) in enumerate(cases, start=1):
            try:
                reports.append(measure(artifact, device, runtime, threads=count, **options))
            except (DeviceFailedError, InputError) as error:
                # Refused, crashed or hung: an answer about this artifact, and the others still want theirs.
                about = {"artifact": artifact.name, "device": device.name, "runtime": runtime, "threads": count}
                failures.append((about, error))
            update(done, f"{artifact.name} on {device.name}, {count} thread{'s' if count > 1 else ''}")
    if not reports:
        raise failures[0][1]
    if report is not None:
        from edge_cnn.verify.report.latency_page import to_html

        write_atomically(report, to_html(model.name, reports).encode())
        console.note(f"report: {report}")
    for _, error in failures:
        console.note(f"not measured: {error}")
    failed = [{**about, "reason": str(error)} for about, error in failures]
    console.result({"results": [r.to_json() for r in reports], "failed": failed, "not_ready": not_ready}, draw(reports))
    return 1 if failures else 0


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
