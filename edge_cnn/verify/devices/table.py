"""The table of device kinds: one row a kind, one file behind each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_cnn.core.errors import DeviceUnavailableError, InputError
from edge_cnn.verify.agent_client import LIMIT_S
from edge_cnn.verify.devices.device import Device
from edge_cnn.verify.devices.emulated_guests import AARCH64, ARMHF
from edge_cnn.verify.devices.emulated_linux import form, parse_aarch64, parse_armhf
from edge_cnn.verify.devices.emulated_linux_setup import EmulatedLinux
from edge_cnn.verify.devices.environment import parse_environment
from edge_cnn.verify.devices.environments import QUALCOMM_HTP_SIM, SWIFTSHADER, TFLM, TOSA
from edge_cnn.verify.devices.local import parse_local
from edge_cnn.verify.devices.preparation import Preparation
from edge_cnn.verify.devices.ssh import SshPreparation, parse_ssh
from edge_cnn.verify.devices.ssh_address import FORM as SSH_FORM


@dataclass(frozen=True)
class DeviceKind:
    """One kind of device.

    Attributes:
        name: what DEVICE starts with, up to the first colon.
        form: how users type it.
        description: in a few words.
        parse: DEVICE, what stands behind the first colon, seconds a request may take -> the device; starts nothing.
        preparation: how it is made ready here, for kinds that are one device each; None where the user names a place.
        preparation_of: DEVICE -> how that place is made ready; such devices make themselves ready at their first use.
        opt_in: large or slow, so that `--on all` leaves it out.
    """

    name: str
    form: str
    description: str
    parse: Callable[[str, str, float], Device]
    preparation: Preparation | None = None
    opt_in: bool = False
    preparation_of: Callable[[str], Preparation] | None = None


LOCAL = "local"

DEVICE_KINDS: dict[str, DeviceKind] = {
    kind.name: kind
    for kind in (
        DeviceKind(LOCAL, "local[:RUNTIME]", "this machine, in a child process", parse_local),
        DeviceKind("venv", "venv:PATH[:RUNTIME]", "another virtual environment on this machine", parse_environment),
        DeviceKind("ssh", SSH_FORM, "a board over SSH", parse_ssh, preparation_of=SshPreparation),
        DeviceKind(AARCH64.name, form(AARCH64), "64-bit ARM Linux under QEMU", parse_aarch64, EmulatedLinux(AARCH64)),
        DeviceKind(ARMHF.name, form(ARMHF), "32-bit ARM Linux under QEMU", parse_armhf, EmulatedLinux(ARMHF)),
        DeviceKind("tflm", "tflm", "the interpreter of microcontrollers, TFLite Micro", TFLM.parse, TFLM),
        DeviceKind("tosa", "tosa", "the reference model of accelerators' operator set, TOSA", TOSA.parse, TOSA),
        DeviceKind(
            "qualcomm-htp-sim",
            "qualcomm-htp-sim",
            "the simulator of Qualcomm's tensor processor",
            QUALCOMM_HTP_SIM.parse,
            QUALCOMM_HTP_SIM,
            opt_in=True,
        ),
        DeviceKind(
            "swiftshader",
            "swiftshader",
            "a GPU without the hardware, by Vulkan on the CPU",
            SWIFTSHADER.parse,
            SWIFTSHADER,
            opt_in=True,
        ),
    )
}

ALL = "all"
"""`--on all`: this process and every device that is ready here."""

FORMS = ", ".join(kind.form for kind in DEVICE_KINDS.values())


def find_kind(name: str) -> DeviceKind:
    """Raises: InputError: no such kind."""
    try:
        return DEVICE_KINDS[name]
    except KeyError:
        raise InputError(f"unknown device {name!r}; known forms: {FORMS}") from None


def find_preparation(text: str) -> Preparation:
    """How a DEVICE is made ready: a kind's name, or a place that makes itself ready at its first use anyway.

    Raises:
        InputError: no such device, or one that needs nothing.
    """
    name, colon, _ = text.partition(":")
    kind = find_kind(name)
    if kind.preparation_of is not None:
        kind.parse(text, text.partition(":")[2], LIMIT_S)
        return kind.preparation_of(text)
    if kind.preparation is None:
        raise InputError(f"device {text!r} needs no set-up here; use it as {kind.form}")
    if colon:
        raise InputError(f"{text!r} cannot be set up by itself; set up all of it: edge-cnn devices setup {name}")
    return kind.preparation


def parse_device(text: str, *, limit_s: float = LIMIT_S) -> Device:
    """DEVICE as users type it -> a device; nothing is started yet.

    Raises:
        InputError: no such form, or an unknown runtime.
        DeviceUnavailableError: it is not there, or not made ready.
    """
    name, _, rest = text.partition(":")
    if name not in DEVICE_KINDS:
        raise InputError(f"unknown device {text!r}; known forms: {FORMS}")
    kind = DEVICE_KINDS[name]
    if kind.preparation is not None:
        missing = kind.preparation.missing()
        if missing is not None:
            raise DeviceUnavailableError(
                f"device {text!r} is not ready: {missing}; make it ready with 'edge-cnn devices setup {name}'"
            )
    return kind.parse(text, rest, limit_s)


def device_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The DEVICEs that the user typed, each once, with `all` spelled out."""
    names: list[str] = []
    for text in texts:
        names += ready_devices() if text == ALL else [text]
    return tuple(dict.fromkeys(names))


def ready_devices() -> list[str]:
    """`local`, and every prepared device that is ready and not opt-in."""
    unready = unready_devices()
    return [LOCAL, *(name for name in preparable_devices() if name not in unready)]


def unready_devices() -> dict[str, str]:
    """Devices that `all` would take if they were ready -> what is missing."""
    missing = {name: find_preparation(name).missing() for name in preparable_devices()}
    return {name: what for name, what in missing.items() if what is not None}


def preparable_devices() -> list[str]:
    """Devices that can be made ready here and are not opt-in."""
    return [kind.name for kind in DEVICE_KINDS.values() if kind.preparation is not None and not kind.opt_in]
