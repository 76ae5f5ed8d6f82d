"""Options of `edge-cnn train` that have no meaning together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.training import TrainConfig


def check_combinations(chosen: dict[str, Any], resume: bool) -> None:
    """Look at the options before anything is read.

    Args:
        chosen: their values by name, as `train_options` gives them.
        resume: whether --resume was given.

    Raises:
        InputError: two that do not go together, with the reason.
    """
    several = _several(chosen)
    workers = _workers(chosen)
    rules = (
        (several, resume, "--resume", "goes on with one training, and this option trains several"),
        (several, workers, workers, "share one training, and this option trains several"),
        (several, chosen["search"] is not None, "--search", "trains several times itself"),
        (_rate(chosen), workers, workers, "may measure otherwise than each other"),
        (_rate(chosen), chosen["search"] is not None, "--search", "chooses the learning rate itself"),
        (_source(chosen), workers, workers, "start from new weights"),
        (_source(chosen), chosen["search"] is not None, "--search", "starts from new weights"),
    )
    for option, is_given, other, reason in rules:
        if option and is_given:
            raise InputError(f"{option} and {other} do not go together: {other} {reason}; leave one of them out")


def check_for_numbers(samples: LabelledImages, config: TrainConfig, image_size: tuple[int, ...] | None) -> None:
    """Make sure that nothing was asked for rows of numbers that only images have.

    Args:
        samples: to train on.
        config: how.
        image_size: what --image-size gave.

    Raises:
        InputError: an option that would change nothing.
    """
    if samples.images.shape[1:3] != (1, 1):
        return
    for option, is_given in (
        ("--augment", config.augmentation is not None),
        ("--image-size", image_size is not None),
    ):
        if is_given:
            raise InputError(f"{option} is for images, and the samples are rows of numbers; leave it out")


def _several(chosen: dict[str, Any]) -> str:
    if chosen["restarts"] > 1:
        return f"--restarts {chosen['restarts']}"
    return "" if chosen["initialization"] == "random" else f"--init {chosen['initialization']}"


def _workers(chosen: dict[str, Any]) -> str:
    if chosen["worker_addresses"] is not None:
        return "--worker-addresses"
    return "--workers" if (chosen["workers"] or 1) > 1 else ""


def _rate(chosen: dict[str, Any]) -> str:
    return "--learning-rate auto" if chosen["learning_rate"] == "auto" else ""


def _source(chosen: dict[str, Any]) -> str:
    return "" if chosen["source"] is None else f"--from {chosen['source']}"
