"""The table of emulated Linux machines: what is in each, so that a set-up can fetch it and a name can choose in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_cnn.core.errors import RuntimeUnavailableError

PYTHON = "python3.11"
"""Debian 12's and so Raspberry Pi OS 12's; the newest that tflite-runtime has wheels for."""

_PYTHON_PACKAGES = (f"{PYTHON}-minimal", f"lib{PYTHON}-stdlib", "libstdc++6")

RECIPE = 1
"""Counts up when a set-up does something else with the same packages, so that older ones are made anew."""


@dataclass(frozen=True)
class Site:
    """A folder of Python packages; what does not fit together (numpy 1 and 2) gets a folder each.

    Attributes:
        name: of the folder.
        runtimes: names of the runtimes in it.
        wheels: exact pins, those of constraints.txt where it has them, with all that they import.
        modules: that must be importable there.
    """

    name: str
    runtimes: tuple[str, ...]
    wheels: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Guest:
    """A machine that QEMU's user mode emulates: Debian's C library and Python, and wheels of the light runtimes.

    Attributes:
        name: DEVICE, up to the first colon.
        architecture: as Debian calls it.
        emulator: QEMU's program, without the suffix -static.
        cpu: the model that is emulated.
        cpuinfo: its /proc/cpuinfo; QEMU before 8.2 shows the host's, and an ONNX Runtime for ARM dies of that.
        packages: from Debian, beside what they depend on.
        platforms: pip's tags of wheels that run there, the newest first.
        sites: the first one is for names without RUNTIME.
        links: path in the root -> what it points to, where packages leave that to their install scripts.
    """

    name: str
    architecture: str
    emulator: str
    cpu: str
    cpuinfo: str
    packages: tuple[str, ...]
    platforms: tuple[str, ...]
    sites: tuple[Site, ...]
    links: tuple[tuple[str, str], ...] = ()

    def site_of(self, runtime: str | None) -> Site:
        """The site with `runtime`. Raises: RuntimeUnavailableError: none has it."""
        if runtime is None:
            return self.sites[0]
        for site in self.sites:
            if runtime in site.runtimes:
                return site
        known = ", ".join(name for site in self.sites for name in site.runtimes)
        raise RuntimeUnavailableError(f"device {self.name!r} has no runtime {runtime!r}; it runs {known}")

    def to_json(self) -> dict[str, Any]:
        """All that a set-up depends on."""
        return {"recipe": RECIPE, "python": PYTHON, **asdict(self)}


# Never `max`: QEMU announces dot-product instructions there, with which XNNPACK's int8 kernels come out silently wrong.
# cortex-a53, a57, a72, a76 and neoverse-n1 agree with each other and, within a kernel family, with x86.
AARCH64 = Guest(
    name="qemu-aarch64",
    architecture="arm64",
    emulator="qemu-aarch64",
    cpu="cortex-a72",
    cpuinfo="""\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
""",
    packages=(*_PYTHON_PACKAGES, "libgomp1"),
    platforms=(
        "manylinux_2_34_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_27_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "any",
    ),
    sites=(
        Site(
            "litert-onnxruntime",
            ("litert", "litert-ref", "onnxruntime"),
            # Further dependencies that these declare are for converting and profiling; inference imports none of them.
            ("numpy==2.4.6", "ai-edge-litert==2.3.0", "onnxruntime==1.32.0", "click==8.5.1", "pillow==13.0.0"),
            ("ai_edge_litert.interpreter", "onnxruntime", "click", "PIL.Image"),
        ),
        Site(
            "tflite-runtime",
            ("tflite-runtime", "tflite-runtime-ref"),
            ("numpy==1.26.4", "tflite-runtime==2.14.0", "click==8.5.1", "pillow==13.0.0"),
            ("tflite_runtime.interpreter", "click", "PIL.Image"),
        ),
    ),
)

ARMHF = Guest(
    name="qemu-armhf",
    architecture="armhf",
    emulator="qemu-arm",
    cpu="cortex-a7",
    cpuinfo="""\
processor\t: 0
model name\t: ARMv7 Processor rev 5 (v7l)
BogoMIPS\t: 38.40
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: 0x0
CPU part\t: 0xc07
CPU revision\t: 5
""",
    # There are no wheels of numpy and Pillow for 32-bit ARM.
    packages=(*_PYTHON_PACKAGES, "python3-numpy", "python3-pil"),
    platforms=("manylinux_2_34_armv7l", "any"),
    sites=(
        Site(
            "tflite-runtime",
            ("tflite-runtime", "tflite-runtime-ref"),
            ("tflite-runtime==2.14.0", "click==8.5.1"),
            ("tflite_runtime.interpreter", "click", "PIL.Image"),
        ),
    ),
    links=(
        ("usr/lib/arm-linux-gnueabihf/libblas.so.3", "blas/libblas.so.3"),
        ("usr/lib/arm-linux-gnueabihf/liblapack.so.3", "lapack/liblapack.so.3"),
    ),
)
