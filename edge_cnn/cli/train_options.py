"""The options of `edge-cnn train`, in groups, and the configuration that they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edge_cnn.host.training import TrainConfig

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

NETWORK: tuple[Decorator, ...] = (click.option("--arch", "architecture", required=True, help="lenet or resnet8."),)

LEARNING: tuple[Decorator, ...] = (
    click.option("--epochs", type=int, default=30, show_default=True),
    click.option("--batch-size", type=int, default=64, show_default=True),
    click.option("--optimizer", default="adam", show_default=True, help="adam, adamw, sgd or rmsprop."),
    click.option("--learning-rate", type=float, help="Peak of warm-up and schedule; default: the optimizer's own."),
    click.option(
        "--schedule", default="cosine", show_default=True, help="Course of the rate: cosine, step, plateau, constant."
    ),
    click.option(
        "--warm-up", type=float, default=0.05, show_default=True, help="Share of the steps in which it rises."
    ),
    click.option("--weight-decay", type=float, help="Pulls weights to 0; default: the optimizer's own."),
    click.option("--clip-norm", type=float, help="Longest gradient; default: as it is."),
    click.option("--objective", default="cross-entropy", show_default=True, help="cross-entropy, squared-error."),
    click.option(
        "--patience",
        type=click.IntRange(0),
        default=10,
        show_default=True,
        help="Stop after so many epochs without a lower validation loss; 0: never.",
    ),
)

DATA: tuple[Decorator, ...] = (
    click.option("--class-weights", help="'balanced': every class weighs the same, however many samples it has."),
    click.option(
        "--augment",
        "augmentation",
        default="handwriting",
        show_default=True,
        help="Change images at random: handwriting (turn, shear, blur), photos (shift, mirror), none.",
    ),
)


def train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all of them to a command, which takes them as keyword arguments."""
    for option in reversed((*NETWORK, *LEARNING, *DATA)):
        command = option(command)
    return command


def make_config(chosen: dict[str, Any], seed: int) -> TrainConfig:
    """What the options ask for.

    Args:
        chosen: their values by name.
        seed: of the command.

    Raises:
        InputError: a value that cannot be.
    """
    from edge_cnn.host.training import TrainConfig
    from edge_cnn.host.training.augmentation import find_augmentation

    return TrainConfig(
        seed=seed,
        patience=chosen.pop("patience") or None,
        augmentation=find_augmentation(chosen.pop("augmentation")),
        **chosen,
    )
