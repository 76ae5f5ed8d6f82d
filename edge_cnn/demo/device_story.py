"""What happens on the device: run, fine-tune, run again, verify, measure; all through the command line there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.npz import pack_npz
from edge_cnn.demo.device_environment import DeviceEnvironment

REPEATS = 200


@dataclass(frozen=True)
class DeviceData:
    """Data files that are copied to the device, with what they hold.

    Attributes:
        home, home_path: held-out samples of what the model was trained on.
        tune, tune_path: a few samples by other writers.
        away, away_path: the rest of them, for the verdict.
    """

    home: LabelledImages
    tune: LabelledImages
    away: LabelledImages
    home_path: Path
    tune_path: Path
    away_path: Path


def write_device_data(folder: Path, home: LabelledImages, tune: LabelledImages, away: LabelledImages) -> DeviceData:
    """Write the three parts as `.npz` files into `folder`."""
    paths = (folder / "digits-test.npz", folder / "optdigits-tune.npz", folder / "optdigits-test.npz")
    for path, part in zip(paths, (home, tune, away), strict=True):
        names = np.array(part.class_names)
        write_atomically(path, pack_npz({"x": part.images, "y": part.labels, "labels": names}))
    return DeviceData(home, tune, away, *paths)


@dataclass(frozen=True)
class Tuned:
    """One artifact before and after fine-tuning on the device.

    Attributes:
        name: of the artifact.
        path: the tuned bundle.
        home_before, home_after: accuracy on held-out samples of the training data.
        away_before, away_after: accuracy on samples by other writers that fine-tuning did not see.
        answers_before, answers_after: class indices (n,) for these samples.
        document: what `finetune --json` said.
        bytes_before, bytes_after: size of the model file.
    """

    name: str
    path: Path
    home_before: float
    home_after: float
    away_before: float
    away_after: float
    answers_before: NDArray[np.int64]
    answers_after: NDArray[np.int64]
    document: dict[str, Any]
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class DeviceStory:
    """All that happened on the device.

    Attributes:
        tuned: one entry an int8 artifact.
        parity: result rows of `verify --json`, of the exported bundle and of the tuned ones.
        latency: result rows of `bench --json` of the exported bundle.
    """

    tuned: tuple[Tuned, ...]
    parity: tuple[dict[str, Any], ...]
    latency: tuple[dict[str, Any], ...]


def tell_story(
    device: DeviceEnvironment,
    bundle_path: Path,
    bundle: Bundle,
    data: DeviceData,
    seed: int,
    on_step: Callable[[str], None],
) -> DeviceStory:
    """Run, tune, verify and measure every artifact of the bundle on the device. Raises: CheckFailedError."""
    on_step("verify host against device")
    (verified,) = device.command("verify", str(bundle_path), accept=(0, 1))
    parity = [row | {"file": bundle_path.name} for row in verified["results"]]
    tuned: list[Tuned] = []
    for entry in bundle.manifest.artifacts:
        if entry.scheme != "int8":
            continue
        on_step(f"fine-tune {entry.name} with {len(data.tune)} samples")
        story = _tune(device, bundle_path, bundle, entry.name, data, seed)
        tuned.append(story)
        (verified,) = device.command("verify", str(story.path), accept=(0, 1))
        parity += [row | {"file": story.path.name} for row in verified["results"]]
    on_step("measure latency")
    (measured,) = device.command("bench", str(bundle_path), "--repeats", str(REPEATS))
    return DeviceStory(tuple(tuned), tuple(parity), tuple(measured["results"]))


def _tune(
    device: DeviceEnvironment, bundle_path: Path, bundle: Bundle, name: str, data: DeviceData, seed: int
) -> Tuned:
    out = bundle_path.with_name(f"tuned-{name.replace('.', '-')}.edgecnn")
    words = ["finetune", str(bundle_path), "--artifact", name, "--data", str(data.tune_path), "--out", str(out)]
    words += ["--seed", str(seed)]
    home_before, _ = _evaluate(device, bundle_path, name, data.home_path, bundle.manifest.labels)
    away_before, answers_before = _evaluate(device, bundle_path, name, data.away_path, bundle.manifest.labels)
    (document,) = device.command(*words)
    home_after, _ = _evaluate(device, out, name, data.home_path, bundle.manifest.labels)
    away_after, answers_after = _evaluate(device, out, name, data.away_path, bundle.manifest.labels)
    (inspected,) = device.command("inspect", str(out))
    return Tuned(
        name,
        out,
        home_before,
        home_after,
        away_before,
        away_after,
        answers_before,
        answers_after,
        document,
        bytes_before=len(bundle.artifact(name).data),
        bytes_after=inspected["artifacts"][0]["bytes"],
    )


def _evaluate(
    device: DeviceEnvironment, model: Path, artifact: str, data: Path, labels: tuple[str, ...]
) -> tuple[float, NDArray[np.int64]]:
    *rows, last = device.command("run", str(model), str(data), "--artifact", artifact, "--top", "1")
    index = {label: i for i, label in enumerate(labels)}
    return float(last["accuracy"]), np.array([index[row["labels"][0]] for row in rows], np.int64)
