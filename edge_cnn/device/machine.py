"""The machine under an agent: its CPU, the instruction sets that kernels choose by, and its memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_ARM_PARTS = {
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd42"): "Cortex-A78AE",
}
"""(implementer, part) of /proc/cpuinfo -> core, for the boards in the table of targets; Arm's technical manuals."""

KERNEL_FEATURES = frozenset(
    {
        *("sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
        *("avx512_fp16", "amx_int8"),
        *("neon", "asimd", "vfpv4", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
        *("FEAT_DotProd", "FEAT_I8MM", "FEAT_BF16", "FEAT_FP16"),
    }
)
"""Instruction sets that XNNPACK and ONNX Runtime have kernels for; the other flags say nothing about inference."""


def describe_machine() -> dict[str, Any]:
    """JSON values: cpu (its name or ""), cores (that this process may use), features (sorted), memory_mb (or None)."""
    cpu, features = _mac_cpu() if sys.platform == "darwin" else _linux_cpu(_read(Path("/proc/cpuinfo")))
    return {"cpu": cpu, "cores": _usable_cores(), "features": sorted(features), "memory_mb": _memory_mb()}


def _linux_cpu(cpuinfo: str) -> tuple[str, set[str]]:
    """Name and flags of the first core in the text of /proc/cpuinfo, which x86 and ARM kernels write differently."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            # The first core's values; 32-bit ARM has lines of the board after those of the cores.
            fields.setdefault(key.strip(), value.strip())
    core = _ARM_PARTS.get((fields.get("CPU implementer", ""), fields.get("CPU part", "")), "")
    board = _read(Path("/proc/device-tree/model")).strip("\0 \n") if core else ""
    name = fields.get("model name", "")
    if core:
        name = f"{core} ({board})" if board else core
    return name, set((fields.get("flags") or fields.get("Features") or "").split())


def _mac_cpu() -> tuple[str, set[str]]:
    text = _output("/usr/sbin/sysctl", "machdep.cpu.brand_string", "machdep.cpu.features", "hw.optional")
    return _sysctl_cpu(text)


def _sysctl_cpu(text: str) -> tuple[str, set[str]]:
    """Name and flags in what sysctl prints on macOS."""
    brand = re.search(r"^machdep\.cpu\.brand_string: (.*)$", text, re.MULTILINE)
    features = set(re.findall(r"^hw\.optional\.(?:arm\.)?(\w+): 1$", text, re.MULTILINE))
    intel = re.search(r"^machdep\.cpu\.features: (.*)$", text, re.MULTILINE)
    if intel:
        features |= set(intel[1].lower().split())
    return brand[1].strip() if brand else "", features


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_mb() -> float | None:
    memory = physical_memory()
    return None if memory is None else memory / 2**20


def physical_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # Not every system knows these names.
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
