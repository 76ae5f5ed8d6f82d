"""What `verify` found: a result an artifact and device, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import ToleranceError
from edge_cnn.core.tolerance import Tolerance
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
    """

    artifact: str
    device: str
    runtime: str
    kernels: str
    parity: ParityReport | None
    tolerance: Tolerance | None
    verdict: Verdict

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
            "tolerance": self.tolerance.to_json() if self.tolerance else None,
            "parity": parity.to_json() if parity else None,
        }


@dataclass(frozen=True)
class Skipped:
    """An artifact that a device does not run, and why."""

    artifact: str
    device: str
    reason: str


@dataclass(frozen=True)
class VerifyReport:
    """All artifacts on all devices.

    Attributes:
        name: of the bundle.
        results: in the order of devices, then of the manifest.
        skipped: pairs that could not meet, since a device has no runtime for the format.
    """

    name: str
    results: tuple[VerifyResult, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    def check(self) -> None:
        """Raises: ToleranceError: a result is out of tolerance."""
        failed = [result for result in self.results if not result.passed]
        if failed:
            first = failed[0]
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise ToleranceError(f"{first.artifact} on {first.device} with {first.runtime}: {first.reason}{more}")

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "results": [result.to_json() for result in self.results],
            "skipped": [{"artifact": s.artifact, "device": s.device, "reason": s.reason} for s in self.skipped],
        }
