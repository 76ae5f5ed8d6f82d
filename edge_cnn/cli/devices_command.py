"""`edge-cnn devices`: lists the devices at hand, and makes one ready."""

from __future__ import annotations

from typing import Any

import click

from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.verify.devices.preparation import Preparation
from edge_cnn.verify.devices.table import (
    ALL,
    DEVICE_KINDS,
    LOCAL,
    DeviceKind,
    find_kind,
    find_preparation,
    preparable_devices,
)


@click.group("devices", invoke_without_command=True)
@common_options
@click.pass_context
def command(context: click.Context, console: Console) -> None:
    """List the devices: what is ready here, and what makes the others ready.

    'edge-cnn devices setup DEVICE' makes one ready, in a folder of its own below the user's cache folder
    (EDGE_CNN_CACHE names another one).
    """
    if context.invoked_subcommand is None:
        rows = [_document(kind, kind.name, kind.preparation) for kind in DEVICE_KINDS.values()]
        console.result({"devices": rows}, _drawn(rows))


@command.command("setup")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@common_options
def setup(console: Console, devices: tuple[str, ...]) -> None:
    """Make each DEVICE ready; 'all' means those that are not opt-in.

    What is ready already stays as it is; an interrupted set-up goes on.
    """
    names = [name for text in devices for name in (preparable_devices() if text == ALL else [text])]
    preparations = {name: find_preparation(name) for name in names}
    for name, preparation in preparations.items():
        _make_ready(console, name, preparation)
    rows = [
        _document(find_kind(name.partition(":")[0]), name, preparation) for name, preparation in preparations.items()
    ]
    console.result({"devices": rows}, "\n".join(f"{row['name']}: ready" for row in rows))


def _make_ready(console: Console, name: str, preparation: Preparation) -> None:
    if preparation.missing() is None:
        console.note(f"{name} is ready already")
        return
    with console.steps(f"setting up {name}") as on_step:
        preparation.setup(on_step)


def _document(kind: DeviceKind, name: str, preparation: Preparation | None) -> dict[str, Any]:
    by_place = preparation is None and kind.name != LOCAL
    missing = preparation.missing() if preparation is not None else None
    return {
        "name": name,
        "form": kind.form,
        "description": kind.description,
        "ready": None if by_place else missing is None,
        "missing": missing,
        "setup": None if missing is None else f"edge-cnn devices setup {name}",
        "opt_in": kind.opt_in,
    }


_READY = {True: "yes", False: "no", None: "-"}
"""A kind whose place the user names has no answer of its own."""


def _drawn(rows: list[dict[str, Any]]) -> str:
    cells = [
        [row["form"], _READY[row["ready"]], row["description"] + ("; left out of --on all" if row["opt_in"] else "")]
        for row in rows
    ]
    lines = [table(["device", "ready", "what"], cells)]
    waiting = [row for row in rows if row["missing"] is not None]
    if waiting:
        lines += ["", *(f"{row['name']}: {row['missing']}; make it ready with '{row['setup']}'" for row in waiting)]
    return "\n".join(lines)
