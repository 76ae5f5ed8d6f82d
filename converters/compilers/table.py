"""The compilers, by the name that a row of targets gives."""

from __future__ import annotations

from converters.compilers.compiler import Compiler
from converters.compilers.edgetpu import EdgeTpuCompiler
from converters.compilers.tflm import TflmCompiler
from converters.compilers.vela import Vela

COMPILERS: dict[str, Compiler] = {"edgetpu": EdgeTpuCompiler(), "tflm": TflmCompiler(), "vela": Vela()}
"""`Target.compiler` -> the compiler."""
