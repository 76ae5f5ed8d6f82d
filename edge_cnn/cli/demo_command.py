"""`edge-cnn demo`: the whole road on real digits, ending with one table and a report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.console import PATH, Console, common_options, table
from edge_cnn.cli.output_path import check_folder
from edge_cnn.core.atomic_file import write_atomically

if TYPE_CHECKING:
    from edge_cnn.demo.walk import Demo
    from edge_cnn.host.training import EpochRecord


@click.command("demo")
@click.option("--out", type=PATH, default=Path("demo-out"), show_default=True, help="Folder for all files.")
@click.option("--device-venv", type=PATH, help="Environment without TensorFlow to use or make; default: OUT/device.")
@click.option("--quick", is_flag=True, help="Train a few epochs only: a walk of a minute, with lower accuracies.")
@common_options
def command(console: Console, out: Path, device_venv: Path | None, quick: bool) -> None:
    """Train, export, run, fine-tune and verify on real digits.

    The second half runs in a virtual environment without TensorFlow, which stands in for the device.
    """
    from edge_cnn.demo.report import render_report
    from edge_cnn.demo.walk import QUICK_EPOCHS, DemoConfig, epochs_of, walk

    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    config = DemoConfig(out, device_venv or out / "device", console.seed, QUICK_EPOCHS if quick else None)
    began = time.monotonic()

    def on_step(step: str) -> None:
        console.note(f"[{time.monotonic() - began:5.1f} s] {step}")

    total = epochs_of(config)

    def on_epoch(record: EpochRecord) -> None:
        console.note(
            f"          epoch {record.epoch:2d}/{total}  loss {record.loss:.3f}  accuracy {record.accuracy:.3f}"
            f"  validation {record.val_accuracy:.3f}"
        )

    demo = walk(config, on_step=on_step, on_epoch=on_epoch)
    on_step("draw the report")
    report = out / "report.html"
    write_atomically(report, render_report(demo).encode())
    console.result(_document(demo, report), _summary(demo, report))


def _document(demo: Demo, report: Path) -> dict[str, Any]:
    return {
        "float_accuracy": demo.bundle.manifest.host_accuracy,
        "artifacts": [
            {"name": e.name, "scheme": e.scheme, "targets": list(e.targets), "accuracy": e.host_accuracy}
            for e in demo.bundle.manifest.artifacts
        ],
        "tuned": [
            {
                "name": t.name,
                "optdigits_before": t.away_before,
                "optdigits_after": t.away_after,
                "digits_before": t.home_before,
                "digits_after": t.home_after,
                "bytes_before": t.bytes_before,
                "bytes_after": t.bytes_after,
                "finetune": t.document,
            }
            for t in demo.story.tuned
        ],
        "verify": list(demo.story.parity),
        "bench": list(demo.story.latency),
        "report": str(report),
    }


def _summary(demo: Demo, report: Path) -> str:
    latency = {row["artifact"]: row for row in demo.story.latency}
    tuned = {t.name: t for t in demo.story.tuned}
    worst: dict[str, Any] = {}
    for row in sorted(demo.story.parity, key=lambda row: (not row["passed"], row["max_lsb"] or 0)):
        worst[row["artifact"]] = row  # exported and tuned files: the last one is the worst
    rows: list[list[str]] = []
    for entry, artifact in zip(demo.bundle.manifest.artifacts, demo.bundle.artifacts, strict=True):
        story, time_row, parity = tuned.get(entry.name), latency.get(entry.name), worst[entry.name]
        rows.append(
            [
                entry.name,
                ", ".join(entry.targets),
                f"{len(artifact.data):,}",
                _percent(entry.host_accuracy),
                f"{_percent(story.away_before)} -> {_percent(story.away_after)}" if story else "",
                f"{_percent(story.home_before)} -> {_percent(story.home_after)}" if story else "",
                f"{time_row['p50']:.0f}" if time_row else "",
                _parity(parity),
            ]
        )
    header = ["artifact", "target", "bytes", "digits", "optdigits tuned", "digits after", "p50 us", "host = device"]
    accuracy = _percent(demo.bundle.manifest.host_accuracy)
    return "\n".join(
        [
            table(header, rows),
            f"float accuracy {accuracy} on {len(demo.home)} held-out digits; int8 tuned on the device with "
            f"{demo.tune_count} samples by other writers, tested on {len(demo.away)} others; accuracies in %",
            f"report: {report}",
        ]
    )


def _parity(row: dict[str, Any]) -> str:
    verdict = "yes" if row["passed"] else "NO"
    if row["max_lsb"] is None:
        return verdict
    return f"{verdict}, bit for bit" if row["max_lsb"] == 0 else f"{verdict}, within {row['max_lsb']} LSB"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
