"""`edge-cnn verify`: host against device, and the accuracy gate."""

from __future__ import annotations

from pathlib import Path

import click

from edge_cnn.cli.console import PATH, Console, common_options
from edge_cnn.cli.device_options import device_options, left_out
from edge_cnn.cli.output_path import check_file, check_page
from edge_cnn.cli.slot_options import SlotOrFile
from edge_cnn.cli.verify_tables import drawn, verdict_word
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.replay import verify
from edge_cnn.verify.verify_result import VerifyResult


@click.command("verify")
@click.argument("bundle", type=SlotOrFile())
@click.option(
    "--report", type=PATH, metavar="FILE.html", help="Write a page: the matrix, histograms, flipped answers, times."
)
@click.option("--junit", type=PATH, metavar="FILE.xml", help="Write JUnit XML for CI.")
@click.option("--baseline", type=PATH, metavar="FILE.json", help="Compare with the figures of an earlier run.")
@click.option(
    "--update-baseline",
    is_flag=True,
    help="Write this run's figures to --baseline instead of comparing, if every device passes.",
)
@common_options
@device_options
def command(
    console: Console,
    bundle: Path,
    devices: tuple[str, ...],
    limit_s: float,
    report: Path | None,
    junit: Path | None,
    baseline: Path | None,
    update_baseline: bool,
) -> int:
    """Replay the golden samples of BUNDLE on each DEVICE and compare with what the host recorded.

    Every artifact runs where the device has a runtime for its format. Exit status 1 when one is out of tolerance, or
    worse than in the baseline: a loss of right answers beyond chance (McNemar's exact test, p < 0.05), or other bits
    from the same file, runtime version, kernels and CPU. Exit status 3 when a device went away in the middle.
    """
    if update_baseline and baseline is None:
        raise click.UsageError("--update-baseline goes with --baseline FILE.json, the file to write")
    check_page(report, {"BUNDLE": bundle, "--junit": junit, "--baseline": baseline})
    for option, file in (
        ("--junit", junit),
        ("--baseline", baseline if update_baseline else None),
    ):
        if file is not None:
            check_file(file, option=option)

    not_ready = left_out(devices, console)

    def tell(result: VerifyResult) -> None:
        console.note(f"{result.artifact} on {result.device}: {verdict_word(result)}")

    outcome = verify(
        bundle,
        devices,
        limit_s=limit_s,
        baseline=baseline,
        update_baseline=update_baseline,
        timed=report is not None,
        on_result=tell,
    )
    for skip in outcome.skipped:
        console.note(f"{skip.artifact} on {skip.device}: not run, {skip.reason}")
    if report is not None:
        from edge_cnn.core.bundle import read_bundle
        from edge_cnn.verify.report.page import to_html

        write_atomically(report, to_html(outcome, read_bundle(bundle)).encode())
        console.note(f"report: {report}")
    if junit is not None:
        from edge_cnn.verify.junit import to_junit

        write_atomically(junit, to_junit(outcome))
        console.note(f"JUnit XML: {junit}")
    if update_baseline:
        console.note(f"baseline: {baseline}" if outcome.passed else f"{baseline} not written: not every check passed")
    console.result(outcome.to_json() | {"not_ready": not_ready}, drawn(outcome))
    if outcome.exit_status == DeviceUnavailableError.exit_status:
        outcome.check()
    return outcome.exit_status
