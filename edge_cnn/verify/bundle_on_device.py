"""A bundle on an open device: what a test asks of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import RuntimeUnavailableError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.opening import ends_with_softmax
from edge_cnn.verify.devices.device import Device, choose_runtime
from edge_cnn.verify.plan import read_verifiable
from edge_cnn.verify.replay import replay_on
from edge_cnn.verify.verify_result import VerifyReport


@dataclass(frozen=True)
class BundleOnDevice:
    """One bundle and one device.

    Attributes:
        path: of the bundle.
        device: open; it outlives this value.
    """

    path: Path
    device: Device

    @property
    def name(self) -> str:
        """DEVICE as it was given."""
        return self.device.name

    @property
    def bundle(self) -> Bundle:
        """Read anew. Raises: InputError, BundleError: no bundle, damaged, or without golden samples."""
        return read_verifiable(self.path)

    def verify(self) -> VerifyReport:
        """Replay the golden samples of every artifact that the device runs; `.check()` raises where one is off.

        Raises:
            InputError, BundleError: no bundle, damaged, or without golden samples.
            UnavailableError: the device has gone, or runs none of the artifacts.
        """
        return replay_on(self.bundle, self.path.name, [self.device])

    def classifier(self, artifact: str | None = None) -> Classifier:
        """A classifier whose graph runs on the device, for samples of one's own.

        Args:
            artifact: its name; by default the first one that the device runs.

        Raises:
            RuntimeUnavailableError: the device has no runtime for it.
            ModelError, DeviceFailedError: as `Device.open`.
        """
        bundle = self.bundle
        candidates = [bundle.artifact(artifact)] if artifact is not None else list(bundle.artifacts)
        for candidate in candidates:
            runtime = choose_runtime(self.device, candidate)
            if runtime is None:
                continue
            opened = self.device.open(candidate, runtime)
            return Classifier(
                candidate,
                opened,
                bundle.manifest.labels,
                bundle.manifest.preprocessing,
                preprocessing_source="the manifest",
                is_probability=ends_with_softmax(candidate, opened.outputs),
                bundle=bundle,
            )
        names = ", ".join(candidate.name for candidate in candidates)
        raise RuntimeUnavailableError(f"device {self.name!r} has no runtime for {names}; choose another device")
