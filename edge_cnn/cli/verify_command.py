"""`edge-cnn verify`: host against device, and the accuracy gate."""

from __future__ import annotations

from pathlib import Path

import click

from edge_cnn.cli.console import PATH, Console, common_options, table
from edge_cnn.cli.device_options import device_options
from edge_cnn.cli.output_path import check_file
from edge_cnn.cli.slot_options import SlotOrFile
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.verify.replay import verify
from edge_cnn.verify.verify_result import VerifyReport, VerifyResult


@click.command("verify")
@click.argument("bundle", type=SlotOrFile())
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page with numbers and histograms.")
@click.option("--junit", type=PATH, metavar="FILE.xml", help="Write JUnit XML for CI.")
@common_options
@device_options
def command(
    console: Console,
    bundle: Path,
    devices: tuple[str, ...],
    limit_s: float,
    report: Path | None,
    junit: Path | None,
) -> int:
    """Replay the golden samples of BUNDLE on each DEVICE and compare with what the host recorded.

    Every artifact runs where the device has a runtime for its format. Exit status 1 when one is out of tolerance.
    """
    for option, file in (("--report", report), ("--junit", junit)):
        if file is not None:
            check_file(file, option=option)

    def tell(result: VerifyResult) -> None:
        console.note(f"{result.artifact} on {result.device}: {_verdict(result)}")

    outcome = verify(bundle, devices, limit_s=limit_s, on_result=tell)
    for skip in outcome.skipped:
        console.note(f"{skip.artifact} on {skip.device}: not run, {skip.reason}")
    if report is not None:
        from edge_cnn.verify.verify_report import to_html

        write_atomically(report, to_html(outcome).encode())
        console.note(f"report: {report}")
    if junit is not None:
        from edge_cnn.verify.junit import to_junit

        write_atomically(junit, to_junit(outcome))
        console.note(f"JUnit XML: {junit}")
    console.result(outcome.to_json(), _drawn(outcome))
    return 0 if outcome.passed else 1


def _drawn(outcome: VerifyReport) -> str:
    header = (
        "artifact",
        "device",
        "runtime",
        "kernels",
        "max LSB",
        "top-1",
        "host",
        "device acc.",
        "verdict",
        "reason",
    )
    return table(header, [_row(result) for result in outcome.results])


def _row(result: VerifyResult) -> list[str]:
    parity = result.parity
    numbers = ["-"] * 4
    if parity is not None:
        lsb = parity.compared.max_lsb
        numbers = [
            "-" if lsb is None else str(lsb),
            f"{100 * parity.top1_agreement:.1f}%",
            f"{100 * parity.host_accuracy:.1f}%",
            f"{100 * parity.device_accuracy:.1f}%",
        ]
    kernels = result.kernels or "-"
    return [result.artifact, result.device, result.runtime, kernels, *numbers, _verdict(result), result.reason]


def _verdict(result: VerifyResult) -> str:
    return "passed" if result.passed else "FAILED"
