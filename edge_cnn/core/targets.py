"""The table of targets: one row a kind of device. A new target is one row here and one test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.core.errors import InputError

KIB, MIB = 2**10, 2**20


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
        runtimes: light runtimes that run it there, the preferred one first; with "==VERSION" where there is no newer.
        rules: sets of constraints beyond those of the format, see `converters/constraints/table.py`.
        activations: what `int8` makes of activations in an `.onnx`: "uint8", or "int8-symmetric", which is int8 with
            every zero point 0 and a float bias.
        memory: of a device whose memory the file must fit; None where that does not decide.
        runtime_options: what to open the runtime with: execution "providers" in the order of preference, "threads".
        compiler: makes of the file what the hardware runs; "" where a runtime takes it as it is.
        compiler_options: for that compiler.
        note: what a user must know beside that, one line.
    """

    name: str
    description: str
    format: str
    schemes: tuple[str, ...]
    runtimes: tuple[str, ...]
    rules: tuple[str, ...] = ()
    activations: str = "uint8"
    memory: Memory | None = None
    runtime_options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    compiler: str = ""
    compiler_options: tuple[str, ...] = ()
    note: str = ""

    @property
    def default_scheme(self) -> str:
        return self.schemes[0]


_INT8_OR_FLOAT = ("int8", "float32")
_INT8 = ("int8",)
_TFLITE = ("litert", "tflite-runtime==2.14.0")
_FOUR_CORES = {"threads": 4}
_JETSON_RUNTIMES = ("onnxruntime-tensorrt", "onnxruntime-cuda", "onnxruntime")
_JETSON_PROVIDERS = {"providers": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")}
_MICRO = ("tflm",)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "rpi-zero2",
            "Raspberry Pi Zero 2 W, Cortex-A53, CPU",
            TFLITE,
            _INT8_OR_FLOAT,
            _TFLITE,
            runtime_options=_FOUR_CORES,
            note="64-bit system; 512 MB of RAM, so leave the desktop out",
        ),
        Target(
            "rpi3",
            "Raspberry Pi 3, Cortex-A53, CPU, 64-bit system",
            TFLITE,
            _INT8_OR_FLOAT,
            _TFLITE,
            runtime_options=_FOUR_CORES,
        ),
        Target(
            "rpi3-armhf",
            "Raspberry Pi 2 to 4 and Zero 2 W, CPU, 32-bit system",
            TFLITE,
            _INT8_OR_FLOAT,
            ("tflite-runtime==2.14.0",),
            runtime_options=_FOUR_CORES,
            note="tflite-runtime 2.14.0 is the last wheel for 32-bit ARM: Python 3.11 at most, numpy below 2",
        ),
        Target(
            "rpi4",
            "Raspberry Pi 4, Cortex-A72, CPU",
            TFLITE,
            _INT8_OR_FLOAT,
            _TFLITE,
            runtime_options=_FOUR_CORES,
        ),
        Target(
            "rpi5",
            "Raspberry Pi 5, Cortex-A76, CPU",
            TFLITE,
            _INT8_OR_FLOAT,
            _TFLITE,
            runtime_options=_FOUR_CORES,
        ),
        Target(
            "rpi5-onnx",
            "Raspberry Pi 5 through ONNX Runtime, CPU",
            ONNX,
            _INT8_OR_FLOAT,
            ("onnxruntime",),
            runtime_options=_FOUR_CORES,
        ),
        Target("linux-cpu", "64-bit Linux on x86 or ARM, CPU", TFLITE, _INT8_OR_FLOAT, _TFLITE),
        Target("linux-cpu-onnx", "64-bit Linux through ONNX Runtime, CPU", ONNX, _INT8_OR_FLOAT, ("onnxruntime",)),
        Target(
            "jetson-nano",
            "Jetson Nano (JetPack 4): ONNX Runtime with CUDA or CPU",
            ONNX,
            ("float32",),
            ("onnxruntime-cuda==1.11.0", "onnxruntime==1.11.0"),
            runtime_options={"providers": ("CUDAExecutionProvider", "CPUExecutionProvider")},
            note="its GPU has no int8 arithmetic; JetPack 4 has Python 3.6, too old for this package",
        ),
        Target(
            "jetson-orin",
            "Jetson Orin: ONNX Runtime with TensorRT, CUDA or CPU",
            ONNX,
            _INT8_OR_FLOAT,
            _JETSON_RUNTIMES,
            rules=("tensorrt",),
            activations="int8-symmetric",
            runtime_options=_JETSON_PROVIDERS,
        ),
        Target(
            "coral-edgetpu",
            "Coral Edge TPU (USB, M.2, Dev Board)",
            TFLITE,
            _INT8,
            ("tflite-runtime==2.14.0",),
            rules=("edgetpu",),
            compiler="edgetpu",
            note="what the compiler leaves to the CPU ends the part that the accelerator runs",
        ),
        Target(
            "ethos-u55",
            "Arm Ethos-U55 beside a Cortex-M55",
            TFLITE,
            _INT8,
            _MICRO,
            rules=("ethos-u",),
            compiler="vela",
            compiler_options=("--accelerator-config", "ethos-u55-128"),
        ),
        Target(
            "ethos-u65",
            "Arm Ethos-U65 beside a Cortex-M55 or Cortex-A",
            TFLITE,
            _INT8,
            _MICRO,
            rules=("ethos-u",),
            compiler="vela",
            compiler_options=("--accelerator-config", "ethos-u65-256"),
        ),
        Target(
            "ethos-u85",
            "Arm Ethos-U85 beside a Cortex-M or Cortex-A",
            TFLITE,
            _INT8,
            _MICRO,
            rules=("ethos-u85",),
            compiler="vela",
            compiler_options=("--accelerator-config", "ethos-u85-256"),
        ),
        Target(
            "qualcomm-htp",
            "Qualcomm Hexagon (HTP) through ONNX Runtime's QNN provider",
            ONNX,
            _INT8,
            ("onnxruntime-qnn",),
            rules=("qnn",),
            runtime_options={"providers": ("QNNExecutionProvider",), "backend_path": "QnnHtp"},
            note="the batch is fixed to 1 when the file is opened",
        ),
        Target(
            "openvino",
            "Intel CPU, GPU or NPU through OpenVINO",
            ONNX,
            _INT8_OR_FLOAT,
            ("onnxruntime-openvino",),
            rules=("openvino",),
            runtime_options={"providers": ("OpenVINOExecutionProvider", "CPUExecutionProvider")},
        ),
        Target(
            "cortex-m4",
            "Cortex-M4F microcontroller as the STM32L4R5: TensorFlow Lite Micro",
            TFLITE,
            _INT8_OR_FLOAT,
            _MICRO,
            rules=("tflm", "memory"),
            memory=Memory(flash=2 * MIB, ram=640 * KIB),
            compiler="tflm",
        ),
        Target(
            "cortex-m7",
            "Cortex-M7 microcontroller as the STM32F746: TensorFlow Lite Micro",
            TFLITE,
            _INT8_OR_FLOAT,
            _MICRO,
            rules=("tflm", "memory"),
            memory=Memory(flash=1 * MIB, ram=320 * KIB),
            compiler="tflm",
        ),
    )
}


def find_target(name: str) -> Target:
    """Raises: InputError: no such target."""
    try:
        return TARGETS[name]
    except KeyError:
        raise InputError(f"unknown target {name!r}; known: {', '.join(TARGETS)}") from None
