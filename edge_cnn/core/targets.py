"""The table of targets: one row a kind of device. A new target is one row here and one test."""

from __future__ import annotations

from dataclasses import dataclass

from edge_cnn.core.errors import InputError


@dataclass(frozen=True)
class Memory:
    """What of a device's memory a model may take.

    Attributes:
        flash: bytes for the file, which stays there.
        ram: bytes for activations.
    """

    flash: int
    ram: int


@dataclass(frozen=True)
class Target:
    """What a kind of device takes.

    Attributes:
        name: TARGET as users type it.
        description: the hardware in a few words.
        format: "tflite" or "onnx".
        schemes: quantization schemes it runs, the default one first.
        runtimes: light runtimes that run it there, the preferred one first.
        symmetric_activations: activations are int8 with every zero point 0 (TensorRT's explicit quantization).
        memory: of a device whose memory the file must fit; None where that does not decide.
        compiler: of `converters.compilers.table`, which makes the file that the hardware loads; "" for none.
        compiler_options: words for its command line.
    """

    name: str
    description: str
    format: str
    schemes: tuple[str, ...]
    runtimes: tuple[str, ...]
    symmetric_activations: bool = False
    memory: Memory | None = None
    compiler: str = ""
    compiler_options: tuple[str, ...] = ()

    @property
    def default_scheme(self) -> str:
        return self.schemes[0]


_INT8_OR_FLOAT = ("int8", "float32")
_TFLITE = ("litert", "tflite-runtime")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("rpi-zero2", "Raspberry Pi Zero 2 W, Cortex-A53, CPU", "tflite", _INT8_OR_FLOAT, _TFLITE),
        Target("rpi4", "Raspberry Pi 4, Cortex-A72, CPU", "tflite", _INT8_OR_FLOAT, _TFLITE),
        Target("rpi5", "Raspberry Pi 5, Cortex-A76, CPU", "tflite", _INT8_OR_FLOAT, _TFLITE),
        Target("rpi5-onnx", "Raspberry Pi 5 through ONNX Runtime, CPU", "onnx", _INT8_OR_FLOAT, ("onnxruntime",)),
        Target("linux-cpu", "64-bit Linux on x86 or ARM, CPU", "tflite", _INT8_OR_FLOAT, _TFLITE),
        Target("linux-cpu-onnx", "64-bit Linux through ONNX Runtime, CPU", "onnx", _INT8_OR_FLOAT, ("onnxruntime",)),
        Target(
            "jetson-orin",
            "Jetson Orin: ONNX Runtime with TensorRT, CUDA or CPU",
            "onnx",
            _INT8_OR_FLOAT,
            ("onnxruntime",),
            symmetric_activations=True,
        ),
    )
}


def find_target(name: str) -> Target:
    """Raises: InputError: no such target."""
    try:
        return TARGETS[name]
    except KeyError:
        raise InputError(f"unknown target {name!r}; known: {', '.join(TARGETS)}") from None
