"""Texts as /proc/cpuinfo and sysctl show them on machines that are not at hand."""

import os
import platform
import sys
from pathlib import Path

import pytest

from edge_cnn.device import machine
from edge_cnn.device.machine import describe_machine

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz
flags\t\t: fpu sse4_1 avx2 fma

processor\t: 1
model name\t: another
flags\t\t: fpu
"""

PI_4_64_BIT = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2835
Revision\t: c03114
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""

PI_2_32_BIT = """processor\t: 0
model name\t: ARMv7 Processor rev 5 (v7l)
BogoMIPS\t: 57.60
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt
CPU implementer\t: 0x41
CPU part\t: 0xc07
"""

UNKNOWN_ARM = """processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x61
CPU part\t: 0x022
"""


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (X86, "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", {"fpu", "sse4_1", "avx2", "fma"}),
        (PI_4_64_BIT, "Cortex-A72", {"fp", "asimd", "evtstrm", "crc32", "cpuid"}),
        (PI_2_32_BIT, "Cortex-A7", {"neon", "vfpv4"}),
        (UNKNOWN_ARM, "", {"asimddp"}),
        ("", "", set()),
        ("no colons here", "", set()),
    ],
)
def test_cpuinfo_is_read_as_each_architecture_writes_it(text, name, features, monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda _: "")
    found, flags = machine._linux_cpu(text)
    assert found == name
    assert flags >= features


def test_the_board_is_named_where_the_device_tree_does(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda _: "Raspberry Pi 4 Model B Rev 1.4\0")
    assert machine._linux_cpu(PI_4_64_BIT)[0] == "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)"


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (
            "machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_SME: 0\n",
            "Apple M2",
            {"FEAT_DotProd"},
        ),
        (
            "machdep.cpu.brand_string: Intel(R) Core(TM) i7\nmachdep.cpu.features: FPU SSE4.1 AVX1.0\n",
            "Intel(R) Core(TM) i7",
            {"fpu", "sse4.1", "avx1.0"},
        ),
        ("", "", set()),
    ],
)
def test_sysctl_is_read_as_macos_writes_it(text, name, features):
    assert machine._sysctl_cpu(text) == (name, features)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs Linux's /proc as the oracle")
def test_this_machine_is_described_as_the_kernel_counts_it():
    facts = describe_machine()
    (total,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")]
    assert facts["memory_mb"] == pytest.approx(int(total.split()[1]) / 1024)
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["features"] == sorted(facts["features"])
    if platform.machine() == "x86_64":
        assert "sse2" in facts["features"]
        assert facts["cpu"]


def unknown_name(name):
    raise ValueError(name)


def test_a_system_that_tells_nothing_is_no_failure(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda _: "")
    monkeypatch.setattr(machine, "_output", lambda *_: "")
    monkeypatch.setattr(os, "sysconf", unknown_name)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for system in ("linux", "darwin"):
        monkeypatch.setattr(sys, "platform", system)
        facts = describe_machine()
        assert (facts["cpu"], facts["features"], facts["memory_mb"]) == ("", [], None)
        assert facts["cores"] == (os.cpu_count() or 1)
