"""`edge-cnn install`: put a bundle into the slot, checked before the switch and on probation after it."""

from __future__ import annotations

from pathlib import Path

import click

from edge_cnn.cli.console import PATH, Console, common_options
from edge_cnn.cli.slot_options import SLOT, version_json
from edge_cnn.core.bundle import SUFFIX
from edge_cnn.core.errors import BundleError, InputError
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.sample_source import read_data
from edge_cnn.device.slots.folder import read_state
from edge_cnn.device.slots.update import Change, open_for_change
from edge_cnn.verify.slot_check import check_here, check_holdout


@click.command("install")
@click.argument("bundle", type=PATH)
@SLOT
@click.option(
    "--data", type=PATH, help="Held-out samples, on which it must not be less accurate than what it replaces."
)
@click.option("--force", is_flag=True, help="Take a tuned bundle also where its base is not in the slot.")
@common_options
def command(console: Console, bundle: Path, slot: Path, data: Path | None, force: bool) -> None:
    """Make BUNDLE the slot's active version.

    Its golden samples are replayed on this machine before the switch, and again when it is first used; where that
    fails, the slot returns by itself to the last good version. Exit status 1 when the check fails.
    """
    content = _read(bundle)

    def check(path: Path) -> None:
        check_here(path)
        record = read_state(slot).record
        if data is not None and record is not None:
            classifier = open_classifier(path)
            samples = read_data(data, classifier.image_shape, classifier.labels, lambda _, reason: console.note(reason))
            before, after = check_holdout(path, slot / record.active_version.file, samples)
            console.note(f"{len(samples)} held-out samples: {100 * before:.1f} % right before, {100 * after:.1f} % now")

    with open_for_change(slot, console.note, create=True) as writer:
        change = writer.install(content, bundle.name, check, force=force)
    console.result(change_json(slot, change), _told(slot, change))


def change_json(slot: Path, change: Change) -> dict[str, object]:
    """What `install` and `rollback` tell scripts."""
    return {
        "slot": str(slot),
        "changed": change.changed,
        "active": version_json(change.active),
        "before": version_json(change.before) if change.before else None,
        "probation": change.record.probation,
        "counter": change.record.counter,
    }


def _told(slot: Path, change: Change) -> str:
    version = change.active
    if not change.changed:
        return f"version {version.counter} in {slot} is this very bundle; nothing to do"
    return f"installed version {version.counter} ({version.kind}) in {slot}; its first use checks it once more"


def _read(bundle: Path) -> bytes:
    if bundle.suffix.lower() != SUFFIX and bundle.exists():
        raise InputError(
            f"{bundle} carries no golden samples to check it with; install takes a {SUFFIX} bundle, make one with "
            "'edge-cnn export'"
        )
    try:
        return bundle.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"no bundle at {bundle}; make one with 'edge-cnn export'") from None
    except OSError as error:
        raise BundleError(f"cannot read {bundle}: {error.strerror}") from error
