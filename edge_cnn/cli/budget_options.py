"""`--max-params`, `--max-macs`, `--max-size` and `--target` of `train`: what the network may cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.budget import BudgetReport

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Count(click.ParamType):
    """200000, 200k or 1.5M."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from edge_cnn.host.budget.quantity import parse_count

        return self._parse(parse_count, value, param, ctx)

    def _parse(
        self, parse: Callable[[str], int], value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return value if isinstance(value, int) else parse(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)


class _Size(_Count):
    """100000, 100kB or 96KiB."""

    name = "BYTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from edge_cnn.host.budget.quantity import parse_bytes

        return self._parse(parse_bytes, value, param, ctx)


BUDGET: tuple[Decorator, ...] = (
    click.option("--max-params", type=_Count(), help="Most parameters, e.g. 100k; checked before training."),
    click.option("--max-macs", type=_Count(), help="Most multiply-accumulates a sample, e.g. 12.5M."),
    click.option("--max-size", type=_Size(), help="Largest .tflite file, e.g. 96KiB; int8, as the target takes it."),
    click.option("--target", help="Device of 'edge-cnn targets' whose memory the network must fit."),
)

_NAMES = ("max_params", "max_macs", "max_size", "target")


def take_limits(chosen: dict[str, Any]) -> Callable[[str, LabelledImages, Any], BudgetReport | None]:
    """Take the options of `BUDGET` out of all that were given; the function that comes back does the check.

    Its arguments are an architecture, the samples, and the network to start from (None: the architecture's own);
    it gives None where there is nothing to check.

    Raises:
        InputError: unknown target. Of the check also: CheckFailedError: a limit is exceeded.
    """
    from edge_cnn.core.targets import find_target

    max_params, max_macs, max_size, name = (chosen.pop(option) for option in _NAMES)
    target = None if name is None else find_target(name)

    def check(architecture: str, samples: LabelledImages, initial: Any = None) -> BudgetReport | None:
        if target is None and max_params is None and max_macs is None and max_size is None:
            return None
        from edge_cnn.host.architectures import build_model
        from edge_cnn.host.budget import Budget, check_budget

        model = initial
        if model is None:
            model = build_model(architecture, samples.images.shape[1:], len(samples.class_names))
        budget = Budget(max_params, max_macs, max_size)
        return check_budget(model, budget, target, pretrained=initial is not None)

    return check
