"""The options of `edge-cnn train`, in groups, and the configuration that they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.budget_options import BUDGET
from edge_cnn.cli.console import PATH
from edge_cnn.cli.image_size import ImageSize
from edge_cnn.cli.train_search import OPTIONS as SEARCH
from edge_cnn.cli.train_start import START
from edge_cnn.cli.train_workers import OPTIONS as WORKERS

if TYPE_CHECKING:
    from edge_cnn.host.datasets.recipe import Recipe
    from edge_cnn.host.training import TrainConfig

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Rate(click.ParamType):
    """A number, or `auto`."""

    name = "float|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A float; whatever is neither is an error of usage."""
        return value if value == "auto" else click.FLOAT.convert(value, param, ctx)


NETWORK: tuple[Decorator, ...] = (
    click.option("--arch", "architecture", help="mlp, lenet, resnet8, mobilenet_v1_025, ds_cnn or autoencoder."),
)

LEARNING: tuple[Decorator, ...] = (
    click.option("--epochs", type=int, help="At most so many."),
    click.option("--batch-size", type=int, help="Samples a step."),
    click.option("--optimizer", help="adam, adamw, sgd or rmsprop."),
    click.option(
        "--learning-rate", type=_Rate(), help="Peak of warm-up and schedule; auto: chosen by a range test of an epoch."
    ),
    click.option(
        "--schedule", default="cosine", show_default=True, help="Course of the rate: cosine, step, plateau, constant."
    ),
    click.option(
        "--warm-up", type=float, default=0.05, show_default=True, help="Share of the steps in which it rises."
    ),
    click.option("--weight-decay", type=float, help="Pulls weights to 0, times the learning rate."),
    click.option("--clip-norm", type=float, help="Longest gradient; default: as it is."),
    click.option("--label-smoothing", type=float, help="Share of the target that goes to all classes alike."),
    click.option(
        "--precision",
        default="float32",
        show_default=True,
        help="Of what layers compute: float32, mixed-bfloat16, mixed-float16 or auto, which measures.",
    ),
    click.option("--objective", help="What is made small: cross-entropy, squared-error or reconstruction."),
    click.option(
        "--patience",
        type=click.IntRange(0),
        help="Stop after so many epochs without a lower validation loss; 0: never.",
    ),
)

DATA: tuple[Decorator, ...] = (
    click.option(
        "--class-weights",
        help="'balanced': every class weighs the same, however many samples it has; or 'cat=2,dog=0.5'.",
    ),
    click.option(
        "--augment",
        "augmentation",
        help="Change images at random: handwriting (turn, shear, blur), photos (shift, mirror) or none.",
    ),
    click.option(
        "--image-size",
        type=ImageSize(),
        help="What images are resized to, needed where theirs differ; with --from keras:NAME what it is made for.",
    ),
    click.option(
        "--normalize",
        "normalization",
        default="auto",
        show_default=True,
        help="auto: a layer before the network mends float inputs of another scale; none.",
    ),
)

WORK: tuple[Decorator, ...] = (
    click.option("--resume", is_flag=True, help="Go on where the same command was interrupted, to the same weights."),
    click.option(
        "--checkpoint-every",
        type=click.FloatRange(0),
        default=30,
        show_default=True,
        help="Seconds between two checkpoints in DIR, at least.",
    ),
    click.option("--tensorboard", type=PATH, metavar="LOGS", help="Folder to write TensorBoard's logs to."),
)

FROM_RECIPE = (
    "architecture",
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "objective",
    "weight_decay",
    "augmentation",
    "patience",
    "label_smoothing",
)
"""What the recipe of the data decides where the user says nothing. A learning rate and a weight decay are good for an
optimizer, so they go with it."""


def train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all of them to a command, which takes them as keyword arguments."""
    for option in reversed((*NETWORK, *START, *LEARNING, *DATA, *BUDGET, *WORK, *SEARCH, *WORKERS)):
        command = option(command)
    return command


def in_words(config: TrainConfig) -> str:
    """What of a configuration a user wants to know, since the recipe of the data decides most of it."""
    from edge_cnn.host.training.augmentation import AUGMENTATIONS

    rate = "chosen by a range test" if isinstance(config.learning_rate, str) else f"{config.peak_rate:g}"
    changes = next((name for name, row in AUGMENTATIONS.items() if row == config.augmentation), "own")
    return (
        f"{config.optimizer}, learning rate {rate}, batches of {config.batch_size}, at most {config.epochs} epochs, "
        f"augmentation {changes}"
    )


def make_config(chosen: dict[str, Any], recipe: Recipe, seed: int) -> TrainConfig:
    """What the options ask for.

    Args:
        chosen: their values by name; None where the user said nothing.
        recipe: of the data.
        seed: of the command.

    Raises:
        InputError: a value that cannot be.
    """
    from edge_cnn.host.architectures import find_architecture
    from edge_cnn.host.training import TrainConfig
    from edge_cnn.host.training.augmentation import find_augmentation
    from edge_cnn.host.training.class_weights import parse_class_weights
    from edge_cnn.host.training.objectives import CROSS_ENTROPY, RECONSTRUCTION

    values = dict(chosen)
    own_optimizer = values["optimizer"] not in (None, recipe.optimizer)
    for name in FROM_RECIPE:
        if values[name] is None and not (own_optimizer and name in ("learning_rate", "weight_decay")):
            values[name] = getattr(recipe, name)
    if chosen["objective"] is None and find_architecture(values["architecture"]).task == RECONSTRUCTION:
        values["objective"] = RECONSTRUCTION
    if chosen["label_smoothing"] is None and values["objective"] != CROSS_ENTROPY:
        values["label_smoothing"] = 0.0
    return TrainConfig(
        seed=seed,
        validation_share=recipe.validation_share,
        patience=values.pop("patience") or None,
        augmentation=find_augmentation(values.pop("augmentation")),
        class_weights=parse_class_weights(weights) if (weights := values.pop("class_weights")) is not None else None,
        **values,
    )
