"""Options of `export` that belong together, each group as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from converters.compilers.export_step import CompileConfig
    from converters.improvement.improver import Improvement


@dataclass(frozen=True)
class ImproveOptions:
    """What is done to the float model before it is quantized.

    Attributes:
        equalize, correct_bias: whether.
        epochs: of quantization-aware training; None for none.
    """

    equalize: bool
    correct_bias: bool
    epochs: int | None

    def improvement(self) -> Improvement:
        from converters.improvement.improver import Improvement
        from converters.improvement.quantization_aware_training import QatConfig

        trained = QatConfig(epochs=self.epochs) if self.epochs else None
        return Improvement(self.equalize, self.correct_bias, trained)


@dataclass(frozen=True)
class CompileOptions:
    """How compilers of targets are used.

    Attributes:
        demanded: whether one that is missing is an error; None takes those at hand.
        accelerator_only: whether an operator on the CPU is an error.
        words: (target, word) for its compiler's command line.
    """

    demanded: bool | None
    accelerator_only: bool
    words: tuple[tuple[str, str], ...]

    def config(self) -> CompileConfig:
        from converters.compilers.export_step import CompileConfig

        words: dict[str, tuple[str, ...]] = {}
        for target, word in self.words:
            words[target] = (*words.get(target, ()), word)
        return CompileConfig(self.demanded, self.accelerator_only, words)


def IMPROVING(function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  # stands where options do
    """Add the options of `ImproveOptions`, which the command gets as `improve`."""

    @click.option("--equalize", is_flag=True, help="Scale channels of neighbouring layers against each other first.")
    @click.option("--correct-bias", is_flag=True, help="Take back the mean error that rounding gives each channel.")
    @click.option(
        "--qat", type=click.IntRange(1), metavar="EPOCHS", help="Train with the rounding of int8 or int4-weights."
    )
    @functools.wraps(function)
    def wrapped(*args: Any, equalize: bool, correct_bias: bool, qat: int | None, **others: Any) -> Any:
        return function(*args, improve=ImproveOptions(equalize, correct_bias, qat), **others)

    return wrapped


def COMPILING(function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  # stands where options do
    """Add the options of `CompileOptions`, which the command gets as `compiling`."""

    @click.option(
        "--compile/--no-compile",
        "demanded",
        default=None,
        help="Demand, or leave out, the compilers of targets that have one; default: those at hand.",
    )
    @click.option("--accelerator-only", is_flag=True, help="Exit 1 when a compiler leaves an operator to the CPU.")
    @click.option(
        "--compiler-option",
        "compiler_options",
        nargs=2,
        multiple=True,
        metavar="TARGET WORD",
        help="One more word for the compiler of a target; repeatable.",
    )
    @functools.wraps(function)
    def wrapped(
        *args: Any,
        demanded: bool | None,
        accelerator_only: bool,
        compiler_options: tuple[tuple[str, str], ...],
        **others: Any,
    ) -> Any:
        return function(*args, compiling=CompileOptions(demanded, accelerator_only, compiler_options), **others)

    return wrapped
