"""docs/networks.md from the table: `python -m edge_cnn.host.budget.network_page docs/networks.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_cnn.core.targets import TARGETS
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.budget.file_size import FLOAT32, INT8
from edge_cnn.host.budget.model_costs import model_costs
from edge_cnn.host.datasets import DATASETS

INPUTS = {
    "lenet": ((28, 28, 1), 10),
    "resnet8": ((32, 32, 3), 10),
    "mlp": ((1, 1, 2), 2),
    "mobilenet_v1_025": ((96, 96, 3), 2),
    "ds_cnn": ((49, 10, 1), 12),
    "autoencoder": ((5, 128, 1), 0),
}
"""Input and classes that each is known for; those of MLPerf Tiny where it comes from there."""

_HEAD = """# Networks and data sets of `edge-cnn train`

This page is made from the code: `python -m edge_cnn.host.budget.network_page docs/networks.md`.

## Networks

`--arch NAME`. Each takes inputs of any size from its smallest side on, and any number of classes; what it costs depends
on both, and is given here for the input that it is known for. Parameters are counted as Keras counts them, with the
moving averages of batch normalization; multiply-accumulates (MACs) are those of weights, for one sample; sizes are
estimates of the `.tflite` file; activations are what an int8 file must hold in memory at one time, at the least.

| network | for | smallest side | input | classes | parameters | MACs | int8 bytes | float32 bytes | activation bytes |
|---|---|---|---|---|---|---|---|---|---|
"""

_MIDDLE = """
`resnet8`, `mobilenet_v1_025`, `ds_cnn` and `autoencoder` have the layers and, with these inputs, the parameter counts
of the reference networks of MLPerf Tiny (Banbury et al. 2021); they start from random weights. `autoencoder` is no
classifier: it learns to give its input back through 8 numbers, and what it gives back badly is unlike what it learned.

## Data sets

`--data NAME`, or a folder with one sub-folder of images a class, or an `.npz`. The recipe is what `train` takes where
an option is not given.

| data set | what | samples | network | epochs | batch | optimizer | objective | augmentation |
|---|---|---|---|---|---|---|---|---|
"""

_MEMORY = """
## Devices whose memory decides

`--target NAME` of `train` holds the network against the memory of a row of [targets.md](targets.md) that states one:

"""


def page() -> str:
    """The whole page. Raises: UnavailableError: TensorFlow is not installed."""
    return "".join([_HEAD, *map(_network, ARCHITECTURES), _MIDDLE, *map(_dataset, DATASETS), _MEMORY, *_memories()])


def _network(name: str) -> str:
    row, (shape, classes) = ARCHITECTURES[name], INPUTS[name]
    costs = model_costs(build_model(name, shape, classes))
    cells = [
        f"`{name}`",
        row.summary,
        str(row.min_side),
        "x".join(map(str, shape)),
        str(classes or "none"),
        f"{costs.parameters:,}",
        f"{costs.macs:,}",
        *(f"{costs.size(scheme):,}" for scheme in (INT8, FLOAT32)),
        f"{costs.activation_bytes(INT8):,}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _dataset(name: str) -> str:
    entry = DATASETS[name]
    recipe = entry.recipe
    cells = [
        f"`{name}`",
        entry.summary,
        f"{entry.train_samples:,} + {entry.test_samples:,} to test",
        f"`{recipe.architecture}`",
        str(recipe.epochs),
        str(recipe.batch_size),
        recipe.optimizer + ("" if recipe.learning_rate is None else f", {recipe.learning_rate:g}"),
        recipe.objective,
        recipe.augmentation,
    ]
    return f"| {' | '.join(cells)} |\n"


def _memories() -> list[str]:
    return [
        f"- `{target.name}`: {target.memory.flash:,} bytes for the file, {target.memory.ram:,} for activations\n"
        for target in TARGETS.values()
        if target.memory is not None
    ]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
