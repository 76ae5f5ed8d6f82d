"""Options of the commands that run a model on DEVICEs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from edge_cnn.cli.console import Console
from edge_cnn.verify.agent_client import LIMIT_S
from edge_cnn.verify.devices.table import ALL, FORMS, unready_devices


def device_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --on and --timeout; the function gets `devices`, at least one, and `limit_s`."""

    @click.option(
        "--on",
        "devices",
        multiple=True,
        metavar="DEVICE",
        help=f"{FORMS}, or {ALL} that are ready here; may be repeated; default: local.",
    )
    @click.option(
        "--timeout",
        "limit_s",
        type=click.FloatRange(min=0, min_open=True),
        default=LIMIT_S,
        show_default=True,
        metavar="SECONDS",
        help="Longest time that one request to a device may take.",
    )
    @functools.wraps(function)
    def command(console: Any, devices: tuple[str, ...], **arguments: Any) -> Any:
        return function(console, devices=devices or ("local",), **arguments)

    return command


def left_out(devices: tuple[str, ...], console: Console) -> list[dict[str, str]]:
    """What `--on all` leaves out since it is not ready here, told on stderr; empty without `all`."""
    if ALL not in devices:
        return []
    rows = [
        {"device": name, "missing": missing, "setup": f"edge-cnn devices setup {name}"}
        for name, missing in unready_devices().items()
    ]
    for row in rows:
        console.note(f"{row['device']} is left out: {row['missing']}; make it ready with '{row['setup']}'")
    return rows
