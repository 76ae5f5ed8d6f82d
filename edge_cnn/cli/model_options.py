"""Options that every command which opens a MODEL shares, and how it says what it opened."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge_cnn.cli.console import PATH, Console
from edge_cnn.device.classifier import Classifier
from edge_cnn.verify.opening import open_classifier

DEFAULT_SLOT = "slot:"
"""MODEL that stands for the default slot's active version."""


class RangeType(click.ParamType):
    """LO,HI: what pixels 0 and 255 become."""

    name = "LO,HI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not two numbers LO,HI, for example -1,1", param, ctx)
        if not math.isfinite(low) or not math.isfinite(high):
            self.fail(f"{value!r} holds a value that is not finite", param, ctx)
        return low, high


INPUT_RANGE = click.option(
    "--input-range", type=RangeType(), help="What pixels 0 and 255 become, e.g. -1,1; overrides what the file says."
)


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add MODEL, --runtime, --artifact, --input-range and --threads; the function gets them as one `open_model()`."""

    @click.argument("model", type=PATH)
    @click.option("--runtime", help="litert, litert-ref, tflite-runtime, onnxruntime; default: the first one here.")
    @click.option("--artifact", help="Which model file of a bundle; default: the first one that a runtime here takes.")
    @INPUT_RANGE
    @click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of the runtime.")
    @functools.wraps(function)
    def command(
        console: Console,
        model: Path,
        runtime: str | None,
        artifact: str | None,
        input_range: tuple[float, float] | None,
        threads: int,
        **arguments: Any,
    ) -> Any:
        if str(model) == DEFAULT_SLOT:
            from edge_cnn.cli.slot_options import slot_folder

            model = slot_folder(model) or model

        def open_model() -> Classifier:
            classifier = open_classifier(
                model,
                runtime=runtime,
                artifact=artifact,
                input_range=input_range,
                threads=threads,
                on_note=console.note,
            )
            opened = f"{classifier.artifact.name} on {classifier.runtime.name} {classifier.runtime.version}"
            if classifier.preprocessing is None:
                console.note(f"{opened}; takes no images, give its inputs as float x in an .npz")
            else:
                described = classifier.preprocessing.describe()
                console.note(f"{opened}; input {described} (from {classifier.preprocessing_source})")
            return classifier

        return function(console, model=model, open_model=open_model, **arguments)

    return command
