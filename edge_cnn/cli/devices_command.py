"""`edge-cnn devices`: lists the devices at hand, and makes one ready."""

from __future__ import annotations

from typing import Any

import click

from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.core.errors import InputError
from edge_cnn.verify.devices.table import DEVICE_KINDS, DeviceKind, find_kind


@click.group("devices", invoke_without_command=True)
@common_options
@click.pass_context
def command(context: click.Context, console: Console) -> None:
    """List the devices: what is ready here, and what makes the others ready.

    'edge-cnn devices setup DEVICE' makes one ready, in a folder of its own below the user's cache folder
    (EDGE_CNN_CACHE names another one).
    """
    if context.invoked_subcommand is None:
        rows = [_document(kind) for kind in DEVICE_KINDS.values()]
        console.result({"devices": rows}, _drawn(rows))


@command.command("setup")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@common_options
def setup(console: Console, devices: tuple[str, ...]) -> None:
    """Make each DEVICE ready. What is ready already stays as it is; an interrupted set-up goes on."""
    kinds = [find_kind(name) for name in dict.fromkeys(devices)]
    for kind in kinds:
        if kind.preparation is None:
            raise InputError(f"device {kind.name!r} needs no set-up here; use it as {kind.form}")
    for kind in kinds:
        _make_ready(console, kind)
    rows = [_document(kind) for kind in kinds]
    console.result({"devices": rows}, "\n".join(f"{row['name']}: ready" for row in rows))


def _make_ready(console: Console, kind: DeviceKind) -> None:
    preparation = kind.preparation
    assert preparation is not None, "checked before anything was begun"
    if preparation.missing() is None:
        return
    with console.steps(f"setting up {kind.name}") as on_step:
        preparation.setup(on_step)


def _document(kind: DeviceKind) -> dict[str, Any]:
    missing = kind.preparation.missing() if kind.preparation is not None else None
    return {
        "name": kind.name,
        "form": kind.form,
        "description": kind.description,
        "ready": missing is None,
        "missing": missing,
        "setup": None if missing is None else f"edge-cnn devices setup {kind.name}",
        "opt_in": kind.opt_in,
    }


def _drawn(rows: list[dict[str, Any]]) -> str:
    cells = [
        [
            row["form"],
            "yes" if row["ready"] else "no",
            row["description"] + ("; left out of --on all" if row["opt_in"] else ""),
        ]
        for row in rows
    ]
    lines = [table(["device", "ready", "what"], cells)]
    waiting = [row for row in rows if not row["ready"]]
    if waiting:
        lines += ["", *(f"{row['name']}: {row['missing']}; make it ready with '{row['setup']}'" for row in waiting)]
    return "\n".join(lines)
