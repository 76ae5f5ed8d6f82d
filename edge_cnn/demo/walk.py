"""The walk of the data: train and export on the host, then run, tune and verify on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cnn.core.bundle import Bundle
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.demo.device_environment import DeviceEnvironment, make_device_environment
from edge_cnn.demo.device_story import DeviceStory, tell_story, write_device_data

if TYPE_CHECKING:
    from edge_cnn.host.training import EpochRecord, TrainResult

TARGETS = ("rpi5", "jetson-orin")
SCHEMES = ("int8", "float32")
REPLAY_PER_CLASS = 50
BUNDLE = "digits.edgecnn"
QUICK_EPOCHS = 4


@dataclass(frozen=True)
class DemoConfig:
    """How to walk.

    Attributes:
        out: folder for all files.
        device_path: folder of the environment without TensorFlow.
        seed: of training, calibration, and fine-tuning.
        epochs: of training; None takes the default of `train`.
    """

    out: Path
    device_path: Path
    seed: int
    epochs: int | None = None


@dataclass(frozen=True)
class Demo:
    """All that the walk gave.

    Attributes:
        training: the trained network and its history.
        train_count: number of training images.
        bundle, bundle_path: what was exported.
        device: the environment that played the device.
        story: what happened there.
        home, away: held-out samples of the training data and of other writers.
        tune_count: number of samples that the device was tuned with.
        sources: of the data.
    """

    training: TrainResult
    train_count: int
    bundle: Bundle
    bundle_path: Path
    device: DeviceEnvironment
    story: DeviceStory
    home: LabelledImages
    away: LabelledImages
    tune_count: int
    sources: tuple[str, ...]


def epochs_of(config: DemoConfig) -> int:
    """How many epochs the walk trains at most."""
    from edge_cnn.host.training import TrainConfig

    return config.epochs or TrainConfig().epochs


def walk(
    config: DemoConfig,
    *,
    on_step: Callable[[str], None],
    on_epoch: Callable[[EpochRecord], None],
) -> Demo:
    """Walk it; writes the bundles and data files into `config.out`, which must exist.

    Raises:
        UnavailableError: TensorFlow or the device environment is not to be had.
        CheckFailedError: a step on the device failed.
    """
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.keras_file import source_of_keras
    from edge_cnn.host.datasets import load_dataset
    from edge_cnn.host.training import TrainConfig, train

    digits, others = load_dataset("digits"), load_dataset("optdigits")
    on_step(f"train lenet on {len(digits.train)} digits")
    training = train(
        TrainConfig(architecture="lenet", epochs=epochs_of(config), seed=config.seed), digits.train, on_epoch=on_epoch
    )
    on_step(f"export {' and '.join(SCHEMES)} for {' and '.join(TARGETS)}")
    source = source_of_keras(
        training.model,
        "digits",
        labels=training.labels,
        preprocessing=training.preprocessing,
        training={"architecture": "lenet", "seed": config.seed, "config": training.config.to_json()},
    )
    bundle = export_bundle(
        source,
        ExportData(digits.train, digits.test, {"name": digits.name, "source": digits.source}),
        ExportConfig(TARGETS, SCHEMES, config.seed, replay_per_class=REPLAY_PER_CLASS),
        preprocessing=training.preprocessing,
    )
    bundle_path = config.out / BUNDLE
    bundle.write(bundle_path)
    on_step("make an environment without TensorFlow")
    device = make_device_environment(config.device_path)
    data = write_device_data(config.out, digits.test, others.train, others.test)
    story = tell_story(device, bundle_path, bundle, data, config.seed, on_step)
    return Demo(
        training,
        len(digits.train),
        bundle,
        bundle_path,
        device,
        story,
        digits.test,
        others.test,
        len(others.train),
        (digits.source, others.source),
    )
