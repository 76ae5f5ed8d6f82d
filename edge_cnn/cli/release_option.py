"""The option `--for`: runtimes of a device that is not here."""

from __future__ import annotations

import click

FOR = click.option(
    "--for",
    "releases",
    multiple=True,
    metavar="RUNTIME[==VERSION]",
    help="A runtime that need not be installed here, as tflite-runtime==2.14.0; exit 1 if it does not take the file; "
    "repeatable.",
)
