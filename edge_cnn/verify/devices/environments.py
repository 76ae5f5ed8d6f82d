"""The devices that are a `PreparedEnvironment`, a row each; versions are the ones that were measured."""

from __future__ import annotations

from edge_cnn.verify.devices.prepared_environment import PreparedEnvironment
from edge_cnn.verify.devices.swiftshader import FOLDER, add_swiftshader
from edge_cnn.verify.devices.virtual_environment import LINUX_X86_64

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

QUALCOMM_HTP_SIM = PreparedEnvironment(
    name="qualcomm-htp-sim",
    runtime="onnxruntime-qnn",
    requirements=("onnxruntime-qnn==2.7.0", "onnxruntime==1.32.0"),
    pythons=(11, 12, 13, 14),
    machines=(LINUX_X86_64,),
    megabytes=510,
    emulated=True,
)
"""Qualcomm's library for its Hexagon tensor processor, which on x86-64 computes what the processor would."""

SWIFTSHADER = PreparedEnvironment(
    name="swiftshader",
    runtime="onnxruntime-webgpu",
    requirements=("onnxruntime-webgpu==1.27.0",),
    pythons=(11, 12, 13, 14),
    machines=(LINUX_X86_64,),
    megabytes=185,
    emulated=True,
    variables={
        "LD_LIBRARY_PATH": "{folder}/" + FOLDER,
        "VK_DRIVER_FILES": "{folder}/" + FOLDER + "/vk_swiftshader_icd.json",
    },
    addition=("apt-get download chromium-common, 32 MB, for SwiftShader", add_swiftshader),
)
"""A GPU without the hardware: SwiftShader draws and computes Vulkan on the CPU, ONNX Runtime drives it by WebGPU."""
