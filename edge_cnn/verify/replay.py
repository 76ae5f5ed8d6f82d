"""Replay golden samples on devices and judge what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import (
    EdgeCnnError,
    InputError,
    RuntimeUnavailableError,
    UnavailableError,
)
from edge_cnn.core.tolerance import tolerance_of
from edge_cnn.device.runtimes.runtime_check import known_wrong
from edge_cnn.verify.agent_client import LIMIT_S
from edge_cnn.verify.baseline import baseline_of, check_samples, read_baseline, write_baseline
from edge_cnn.verify.baseline_comparison import compare_with_baseline
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.devices.device import Device, choose_runtime
from edge_cnn.verify.devices.table import device_names, parse_device
from edge_cnn.verify.golden_replay import first_sample, replay_golden
from edge_cnn.verify.label_check import label_fault
from edge_cnn.verify.parity import ParityReport
from edge_cnn.verify.plan import Plan, plan, read_verifiable
from edge_cnn.verify.replay_timing import time_briefly
from edge_cnn.verify.tolerance_check import Verdict, check, golden_fault, spec_fault
from edge_cnn.verify.verify_result import Lost, VerifyReport, VerifyResult


def _ignore(result: VerifyResult) -> None:
    del result


def verify(
    path: str | Path,
    device: str | Sequence[str] = "local",
    *,
    limit_s: float = LIMIT_S,
    baseline: str | Path | None = None,
    update_baseline: bool = False,
    timed: bool = False,
    on_result: Callable[[VerifyResult], None] = _ignore,
) -> VerifyReport:
    """Replay a bundle's golden samples: every artifact on every device that has a runtime for it.

    A device that goes away in the middle costs its own answers only; they stand in the report's `lost`.

    Args:
        path: a `.edgecnn` bundle.
        device: DEVICE, or several.
        limit_s: seconds that one request to a device may take.
        baseline: file with the figures of an earlier run to compare with.
        update_baseline: write this run's figures to `baseline` instead, if every check passes.
        timed: time a few runs of each artifact as well, where no emulator runs it.
        on_result: told of each result as it comes.

    Raises:
        InputError, BundleError: not a bundle, no golden samples, an unknown device, or a baseline that is missing,
            damaged or of other samples.
        DeviceUnavailableError, RuntimeUnavailableError: a device is not there at the start, or runs none of the
            artifacts.
    """
    bundle = read_verifiable(Path(path))
    names = (device,) if isinstance(device, str) else tuple(device)
    if not names:
        raise InputError("no device to verify on; give at least one, for example local")
    if update_baseline and baseline is None:
        raise InputError("update_baseline was asked for without a baseline; name the file to write")
    file = None if baseline is None else Path(baseline)
    # Before any work. Where it is to be replaced it need not be there, but what is there must be a baseline.
    earlier = None if file is None or (update_baseline and not file.exists()) else read_baseline(file)
    if file is not None and earlier is not None and not update_baseline:
        check_samples(earlier, bundle, file)
    devices = [parse_device(name, limit_s=limit_s) for name in device_names(names)]
    try:
        report = replay_on(bundle, Path(path).name, devices, timed=timed, on_result=on_result)
    finally:
        for d in devices:
            d.close()
    if file is not None and update_baseline:
        if report.passed:
            write_baseline(file, baseline_of(report, bundle, earlier))
    elif earlier is not None:
        changes = compare_with_baseline(report, bundle, earlier)
        report = VerifyReport(report.name, report.results, report.skipped, report.lost, changes)
    return report


def replay_on(
    bundle: Bundle,
    name: str,
    devices: Sequence[Device],
    *,
    timed: bool = False,
    on_result: Callable[[VerifyResult], None] = _ignore,
) -> VerifyReport:
    """As `verify`, on devices that the caller has opened and closes.

    Args:
        bundle: with golden samples, as `read_verifiable` reads it.
        name: of the bundle, for the report.
        devices: where.
        timed, on_result: as `verify`.

    Raises:
        DeviceUnavailableError, RuntimeUnavailableError: as `verify`.
    """
    # All of them first: half an answer after minutes is worse than none at once.
    plans = [plan(bundle, d) for d in devices]
    results, lost = _run(bundle, plans, timed, on_result)
    skipped = tuple(skip for p in plans for skip in p.skipped)
    return VerifyReport(name, tuple(results), skipped, tuple(lost))


def _run(
    bundle: Bundle, plans: Sequence[Plan], timed: bool, on_result: Callable[[VerifyResult], None]
) -> tuple[list[VerifyResult], list[Lost]]:
    results: list[VerifyResult] = []
    lost: list[Lost] = []
    for current in plans:
        gone: str | None = None
        for name, runtime in current.pairs:
            if gone is None:
                try:
                    results.append(judge(bundle, name, current.device, runtime, timed=timed))
                    on_result(results[-1])
                    continue
                except RuntimeUnavailableError as error:
                    # Of this artifact only: an accelerator that does not take it may take the next one.
                    lost.append(Lost(name, current.device.name, str(error)))
                    continue
                except UnavailableError as error:
                    gone = str(error)
            lost.append(Lost(name, current.device.name, gone))
    return results, lost


def judge(bundle: Bundle, name: str, device: Device, runtime: str, *, timed: bool = False) -> VerifyResult:
    """Replay one artifact and hold it against its tolerance; what goes wrong with this artifact becomes the verdict.

    Args:
        bundle: with golden samples.
        name: of the artifact.
        device: where it runs.
        runtime: RUNTIME name.
        timed: time a few runs as well.

    Raises:
        UnavailableError: the device itself is gone.
    """
    entry, artifact = bundle.entry(name), bundle.artifact(name)
    latencies: tuple[float, ...] = ()
    facts: DeviceFacts | None = None

    def failed(reason: str, family: str = "") -> VerifyResult:
        verdict = Verdict(False, reason)
        return VerifyResult(name, device.name, runtime, family, None, None, verdict, device.emulated, facts)

    try:
        wrong = known_wrong(artifact, runtime)
        if wrong:
            return failed(f"{runtime} is {wrong}; run it with another runtime, or export it with another scheme")
        opened = device.open(artifact, runtime)
        facts = getattr(opened, "facts", None)  # of runtimes behind an agent, whatever the way to it
        family = opened.kernels().family
        fault = spec_fault(entry, opened) or label_fault(bundle.manifest, artifact)
        if fault:
            return failed(fault, family)
        if timed and not device.emulated:
            latencies = time_briefly(opened, first_sample(bundle, opened))
        report = replay_golden(bundle, name, device, opened)
    except UnavailableError:
        raise
    except EdgeCnnError as error:
        # Refused, crashed or hung: an answer about this artifact, and the others still want theirs.
        return failed(str(error))
    tolerance = tolerance_of(family, entry.tolerances, entry.format)
    if tolerance is None:
        known = ", ".join(entry.tolerances) or "none"
        verdict = Verdict(False, f"the manifest has no tolerance for {family} kernels, only {known}; export it again")
    else:
        fault = golden_fault(entry, report.host_accuracy, report.samples)
        verdict = Verdict(False, fault) if fault else check(report, tolerance)
    return VerifyResult(
        name, device.name, runtime, family, report, tolerance, verdict, device.emulated, facts, latencies
    )


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
    return replay_golden(bundle, name, device, device.open(artifact, chosen))
