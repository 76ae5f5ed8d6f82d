"""The table of device kinds: one row a kind, one file behind each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_cnn.core.errors import DeviceUnavailableError, InputError
from edge_cnn.verify.agent_client import LIMIT_S
from edge_cnn.verify.devices.device import Device
from edge_cnn.verify.devices.environment import parse_environment
from edge_cnn.verify.devices.local import parse_local
from edge_cnn.verify.devices.preparation import Preparation


@dataclass(frozen=True)
class DeviceKind:
    """One kind of device.

    Attributes:
        name: what DEVICE starts with, up to the first colon.
        form: how users type it.
        description: in a few words.
        parse: DEVICE, what stands behind the first colon, seconds a request may take -> the device; starts nothing.
        preparation: how it is made ready here, for kinds that are one device each; None where the user names a place.
        opt_in: large or slow, so that `--on all` leaves it out.
    """

    name: str
    form: str
    description: str
    parse: Callable[[str, str, float], Device]
    preparation: Preparation | None = None
    opt_in: bool = False


DEVICE_KINDS: dict[str, DeviceKind] = {
    kind.name: kind
    for kind in (
        DeviceKind("local", "local[:RUNTIME]", "this machine, in a child process", parse_local),
        DeviceKind("venv", "venv:PATH[:RUNTIME]", "another virtual environment on this machine", parse_environment),
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
    prepared = [
        kind.name
        for kind in DEVICE_KINDS.values()
        if kind.preparation is not None and not kind.opt_in and kind.preparation.missing() is None
    ]
    return ["local", *prepared]
