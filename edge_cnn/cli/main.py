"""`edge-cnn`: finds the command, catches errors once, turns them into one line and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from edge_cnn import __version__
from edge_cnn.cli.console import ReaderGoneError
from edge_cnn.core.errors import EdgeCnnError

COMMANDS = {
    "demo": "train, export, run, fine-tune and verify on real digits",
    "data": "list the data sets, or save one as .npz",
    "train": "train a CNN with full back-propagation (host)",
    "export": "quantize and convert a model into a bundle for targets (host)",
    "targets": "list the targets with formats and schemes",
    "inspect": "show what is inside a model file and which runtimes run it",
    "run": "predict images, folders, .npz or a stream of lines",
    "finetune": "retrain the last layer here and write it back into the same format",
    "install": "put a bundle into the model slot of this device, checked first",
    "status": "show the model slot: versions, which one is active, why it last returned",
    "rollback": "make an earlier version of the model slot active",
    "devices": "list the devices to verify and measure on, or make one ready",
    "explain": "find which layer of a quantized model costs the accuracy, and the fix (host)",
    "verify": "compare host and device, and check the accuracy gate",
    "bench": "measure cold start, latency and memory",
}
"""Name -> one line of help. The command itself is `command` in `edge_cnn/cli/NAME_command.py`, imported when needed."""

INTERRUPTED = 130


class LazyGroup(click.Group):
    """Imports a command's module only when that command runs, so that `run` on a board never pays for `train`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edge_cnn.cli.{cmd_name}_command")
        return module.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as above
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-cnn")
def edge_cnn() -> None:
    """Edge inference and on-device fine-tuning of CNNs.

    Train on a host, export for a target, run and fine-tune on the device, verify that both agree.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status.

    0 fine, 1 a check failed, 2 bad usage or bad input, 3 something that was asked for is not there, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        status = edge_cnn.main(words, prog_name="edge-cnn", standalone_mode=False, obj=tuple(words))
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except EdgeCnnError as error:
        return _fail(str(error), error.exit_status, debug)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error), err=True)
        return 2
    except click.ClickException as error:
        return _fail(_one_line(error), 2, debug)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED, debug)
    except ReaderGoneError:
        return 0
    except SystemExit as error:  # click's own way out when the reader of a help text has gone
        return error.code if isinstance(error.code, int) else 0
    except Exception as error:  # The edge of the program: whatever is left is a defect, and still one line.
        return _fail(f"internal error: {type(error).__name__}: {error}; run again with --debug", 2, debug)


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message}; see '{context.command_path} --help'" if context else message


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return status


def entry_point() -> None:
    """What the `edge-cnn` script calls."""
    for descriptor, stream in ((1, "stdout"), (2, "stderr")):
        # Started with a closed stream, as some service managers do: Python sets it to None, and a file that is opened
        # later would get its number.
        if getattr(sys, stream) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            setattr(sys, stream, os.fdopen(descriptor, "w"))
    sys.exit(main())
