"""The devices that are a `PreparedEnvironment`, a row each; versions are the ones that were measured."""

from __future__ import annotations

from edge_cnn.verify.devices.prepared_environment import LINUX_X86_64, PreparedEnvironment

TFLM = PreparedEnvironment(
    name="tflm",
    runtime="tflm",
    requirements=("tflite-micro==0.dev20261023182759",),
    pythons=(11, 12, 13, 14),
    machines=(LINUX_X86_64,),
    megabytes=105,
    emulated=True,
)
"""The interpreter of microcontrollers, compiled for this machine: the same integer arithmetic, other times."""

TOSA = PreparedEnvironment(
    name="tosa",
    runtime="tosa-ref",
    requirements=("tosa-tools==2026.8.0", "tosa-converter-for-tflite==2026.2.0"),
    pythons=(11, 12, 13),
    # On other machines its makers call it experimental and its results perhaps not bit-exact.
    machines=(LINUX_X86_64,),
    megabytes=360,
    emulated=True,
)
"""The specification of an operator set for accelerators, executable: slow on purpose."""
