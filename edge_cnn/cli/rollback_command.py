"""`edge-cnn rollback`: back to an earlier version of the slot."""

from __future__ import annotations

from pathlib import Path

import click

from edge_cnn.cli.console import Console, common_options
from edge_cnn.cli.install_command import change_json
from edge_cnn.cli.slot_options import SLOT
from edge_cnn.device.slots.update import open_for_change
from edge_cnn.verify.slot_check import check_here


@click.command("rollback")
@SLOT
@click.option("--to", type=click.IntRange(1), metavar="COUNTER", help="Which version; see 'edge-cnn status'.")
@common_options
def command(console: Console, slot: Path, to: int | None) -> None:
    """Make an earlier version active: the good one that was in use before, or the one that --to names.

    Its golden samples are replayed on this machine before the switch. Exit status 1 when the check fails.
    """
    with open_for_change(slot, console.note) as writer:
        change = writer.roll_back(check_here, to)
    before = change.before.counter if change.before else change.active.counter
    text = (
        f"version {change.active.counter} ({change.active.kind}) is active in {slot}, it was {before}"
        if change.changed
        else f"version {change.active.counter} is active already; nothing to do"
    )
    console.result(change_json(slot, change), text)
