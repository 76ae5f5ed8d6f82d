"""What `verify` found: a result an artifact and device, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import DeviceUnavailableError, ToleranceError
from edge_cnn.core.tolerance import Tolerance
from edge_cnn.verify.baseline_change import BaselineChange
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.parity import ParityReport
from edge_cnn.verify.tolerance_check import Verdict


@dataclass(frozen=True)
class VerifyResult:
    """One artifact on one device.

    Attributes:
        artifact, device, runtime: their names.
        kernels: kernel family; empty where the artifact did not load.
        parity: None where the artifact did not run.
        tolerance: what `parity` was held against, if anything.
        verdict: passed or not, and why.
        emulated: an emulator ran it, so its times would say nothing.
        facts: of the machine; None where no agent told them.
        latencies_us: of a few runs at batch 1, in microseconds; empty where nobody asked or an emulator ran them.
    """

    artifact: str
    device: str
    runtime: str
    kernels: str
    parity: ParityReport | None
    tolerance: Tolerance | None
    verdict: Verdict
    emulated: bool = False
    facts: DeviceFacts | None = None
    latencies_us: tuple[float, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict.passed

    @property
    def reason(self) -> str:
        return self.verdict.reason

    def to_json(self) -> dict[str, Any]:
        parity = self.parity
        return {
            "artifact": self.artifact,
            "device": self.device,
            "runtime": self.runtime,
            "kernels": self.kernels,
            "max_lsb": parity.compared.max_lsb if parity else None,
            "top1_agreement": parity.top1_agreement if parity else None,
            "host_accuracy": parity.host_accuracy if parity else None,
            "device_accuracy": parity.device_accuracy if parity else None,
            "passed": self.passed,
            "reason": self.reason,
            "emulated": self.emulated,
            "machine": self.facts.to_json() if self.facts else None,
            "output_sha256": parity.output_sha256 if parity else None,
            "tolerance": self.tolerance.to_json() if self.tolerance else None,
            "parity": parity.to_json() if parity else None,
        }


@dataclass(frozen=True)
class Skipped:
    """An artifact that a device does not run, and why."""

    artifact: str
    device: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"artifact": self.artifact, "device": self.device, "reason": self.reason}


@dataclass(frozen=True)
class Lost:
    """An artifact that has no answer, since its device, or a part of it that was asked for, went away."""

    artifact: str
    device: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"artifact": self.artifact, "device": self.device, "reason": self.reason}


@dataclass(frozen=True)
class VerifyReport:
    """All artifacts on all devices.

    Attributes:
        name: of the bundle.
        results: in the order of devices, then of the manifest.
        skipped: pairs that could not meet, since a device has no runtime for the format.
        lost: pairs that should have met, had the device not gone away in the middle.
        changes: against the baseline, where one was given.
    """

    name: str
    results: tuple[VerifyResult, ...]
    skipped: tuple[Skipped, ...] = ()
    lost: tuple[Lost, ...] = ()
    changes: tuple[BaselineChange, ...] = ()

    @property
    def passed(self) -> bool:
        """Every answer that was asked for came, is within tolerance, and no worse than in the baseline."""
        return not self.failed and not self.lost and not self.regressions

    @property
    def failed(self) -> tuple[VerifyResult, ...]:
        """Results out of tolerance."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def regressions(self) -> tuple[BaselineChange, ...]:
        """Changes since the baseline that are for the worse."""
        return tuple(change for change in self.changes if change.is_regression)

    @property
    def exit_status(self) -> int:
        """As the command line's: 1 where a check failed, else 3 where a device was lost, else 0."""
        # A failed check stays one whatever the lost device would have said.
        return 1 if self.failed or self.regressions else 3 if self.lost else 0

    def artifacts(self) -> tuple[str, ...]:
        """Names of all artifacts, in the order of the manifest where one device ran or skipped all."""
        return tuple(dict.fromkeys(r.artifact for r in (*self.results, *self.skipped, *self.lost)))

    def devices(self) -> tuple[str, ...]:
        """Names of all devices, in the order of the command line."""
        return tuple(dict.fromkeys(r.device for r in (*self.results, *self.skipped, *self.lost)))

    def check(self) -> None:
        """Raise the first thing that is wrong, a failed check before a lost device.

        Raises:
            ToleranceError: a result is out of tolerance, or worse than in the baseline.
            DeviceUnavailableError: a device went away.
        """
        said = [f"{r.artifact} on {r.device} with {r.runtime}: {r.reason}" for r in (*self.failed, *self.regressions)]
        if said:
            more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
            raise ToleranceError(f"{said[0]}{more}")
        if self.lost:
            raise DeviceUnavailableError(f"{self.lost[0].artifact} has no answer: {self.lost[0].reason}")

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "results": [result.to_json() for result in self.results],
            "skipped": [skip.to_json() for skip in self.skipped],
            "lost": [lost.to_json() for lost in self.lost],
            "baseline": [change.to_json() for change in self.changes],
        }
