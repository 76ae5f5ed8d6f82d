"""Where `edge-cnn train` starts: at new weights, or at a trained network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.console import PATH, Console
from edge_cnn.cli.model_options import RangeType
from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_cnn.host.training import TrainConfig
    from edge_cnn.host.transfer.pretrained import Pretrained
    from edge_cnn.host.transfer.start import Start

START: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "--from", "source", metavar="FILE|keras:NAME", help="Start from a .keras file or an application of Keras."
    ),
    click.option(
        "--freeze", help="Layers that stay as they are: all-but-head (the default with --from), none or a number."
    ),
    click.option("--new-head", is_flag=True, help="With --from: a new last layer even for the same classes."),
    click.option("--weights", type=PATH, help="With --from keras:NAME: its weights; default: ImageNet's."),
    click.option("--input-range", type=RangeType(), help="With --from FILE: what pixels 0 and 255 become, e.g. -1,1."),
    click.option(
        "--init",
        "initialization",
        default="random",
        show_default=True,
        help="Initial weights: random; identical or zeros show why they have to be.",
    ),
    click.option("--restarts", type=int, default=1, show_default=True, help="Train so often, keep the best."),
)


def read_pretrained(chosen: dict[str, Any]) -> Pretrained | None:
    """The network of --from; takes its options out of `chosen`, but for --freeze and --new-head.

    Raises:
        InputError: options that do not go together, or no such application.
        ModelError: a file that cannot be trained on.
        UnavailableError: weights that are not to be had.
    """
    source, weights, size, ends = (chosen.pop(name) for name in ("source", "weights", "image_size", "input_range"))
    application = source is not None and source.startswith("keras:")
    given = {"--weights": weights, "--input-range": ends, "--freeze": chosen["freeze"]}
    if source is not None:
        given["--image-size"] = size
    for option, value in given.items():
        wanted = option == "--freeze" or application == (option != "--input-range")
        if value is not None and (source is None or not wanted):
            kind = "" if option == "--freeze" else " FILE" if option == "--input-range" else " keras:NAME"
            if source is None:
                raise InputError(f"{option} goes with --from{kind}; give that too, or leave {option} out")
            raise InputError(f"{option} goes with --from{kind}, and {source} {_SETTLED[option]}; leave {option} out")
    if source is None:
        if chosen["new_head"]:
            raise InputError("--new-head goes with --from; give that too, or leave --new-head out")
        return None
    if chosen["architecture"] is not None:
        raise InputError(f"--arch {chosen['architecture']} and --from {source} are two networks; give one")
    if chosen["initialization"] != "random":
        raise InputError(
            f"--init {chosen['initialization']} has no meaning with --from {source}; leave one of them out"
        )
    if application:
        from edge_cnn.host.transfer.applications import PREFIX, load_application

        if size is not None and size[2:] == (1,):
            raise InputError(f"{source} takes RGB images; give --image-size {size[0]}x{size[1]}")
        if size is not None and size[0] != size[1]:
            raise InputError(
                f"{source} takes square images, got {size[0]}x{size[1]}; give --image-size {size[0]}x{size[0]}"
            )
        return load_application(source.removeprefix(PREFIX), None if size is None else size[0], weights)
    return _read_file(Path(source), ends)


_SETTLED = {
    "--image-size": "takes images of one size, to which others are brought",
    "--weights": "holds its weights",
    "--input-range": "has its own",
}
"""What a source says itself, by the option that does not go with it."""


def check_kept(out: Path, source: str | None) -> None:
    """Make sure that the network of --from is not written over.

    Raises:
        InputError: it lies in the folder of results under the name of one.
    """
    from edge_cnn.host.training.files import MODEL

    if source is not None and os.path.realpath(source) == os.path.realpath(out / MODEL):
        raise InputError(f"--out {out}: {source} would be written over by what is trained from it; give another folder")


def _read_file(path: Path, ends: tuple[float, float] | None) -> Pretrained:
    from converters.sources.load import load_keras_network
    from edge_cnn.core.preprocessing import input_range
    from edge_cnn.host.transfer.applications import file_hash
    from edge_cnn.host.transfer.embedding import image_shape_of
    from edge_cnn.host.transfer.pretrained import Pretrained

    model, labels, preprocessing = load_keras_network(path)
    shape = image_shape_of(model, path.name)
    if ends is not None:
        preprocessing = input_range(*ends, shape)
    if preprocessing is None:
        raise InputError(
            f"there is no training.json beside {path} that says what it was trained on; "
            "give --input-range LO,HI, what pixels 0 and 255 became"
        )
    if preprocessing.image_shape != shape:
        raise InputError(
            f"training.json is for images of shape {preprocessing.image_shape}, {path.name} takes {shape}; "
            "it belongs to another model, remove it"
        )
    return Pretrained(model, path.name, file_hash(path), preprocessing, labels)


def make_start(pretrained: Pretrained | None, classes: Sequence[str], chosen: dict[str, Any]) -> Start | None:
    """The network made ready for these classes; takes --freeze and --new-head out of `chosen`.

    Raises:
        InputError: layers to freeze that cannot be.
    """
    freeze, new_head = chosen.pop("freeze"), chosen.pop("new_head")
    if pretrained is None:
        return None
    from edge_cnn.host.transfer.freezing import ALL_BUT_HEAD, parse_freeze
    from edge_cnn.host.transfer.start import Start

    return Start(pretrained, tuple(classes), parse_freeze(freeze or ALL_BUT_HEAD), new_head)


def initial_model(start: Start | None, config: TrainConfig) -> Any:
    """A network of its own to train, None for the architecture's."""
    if start is None:
        return None
    return start.make(config.seed if config.initial_seed is None else config.initial_seed)[0]


def with_origin(config: TrainConfig, start: Start | None, console: Console) -> TrainConfig:
    """The configuration with where it starts from, which is told.

    Raises:
        ModelError: the network has no flat features.
        InputError: more layers to freeze than there are.
    """
    if start is None:
        return config
    model, origin = start.make(config.seed)
    head = "its last layer kept, as it has the same classes" if origin.head == "kept" else "with a new last layer"
    weighted = sum(bool(layer.weights) for layer in model.layers)
    console.note(
        f"from {origin.name}, {head}, {len(origin.frozen)} of {weighted} layers frozen; "
        f"images are brought to {start.pretrained.preprocessing.describe()}"
    )
    name = origin.name if origin.name.startswith("keras:") else f"from:{origin.name}"
    return replace(config, architecture=name, origin=origin)
