"""What converters print, warn and log: kept for the error, not shown; core and converters are silent."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Generator

from edge_cnn.core.errors import EdgeCnnError, ModelError

_DESCRIPTORS = (1, 2)


@contextlib.contextmanager
def silent_step(step: str) -> Generator[None]:
    """Run one step of a conversion without its chatter; a failure becomes one line, the chatter a note for --debug.

    TensorFlow and its converter write to the file descriptors from C++, tf2onnx logs, Keras prints: all of it is caught
    while the step runs, in the whole process.

    Args:
        step: what is being done, for the message: "converting to TFLite int8".

    Raises:
        ModelError: the step failed; errors of this project pass unchanged.
    """
    with tempfile.TemporaryFile() as file:
        printed = io.StringIO()
        try:
            with _redirected(file.fileno(), printed):
                yield
        except EdgeCnnError:
            raise
        # Converters raise whatever their layers raise (ValueError, TypeError, ConverterError, Fail, ...).
        except Exception as error:
            file.seek(0)
            chatter = file.read().decode(errors="replace") + printed.getvalue()
            if chatter.strip():
                error.add_note(f"output of the step:\n{chatter.strip()}")
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(
                f"{step} failed: {type(error).__name__}: {reason[:300]}; "
                "run again with --debug for the converter's output"
            ) from error


@contextlib.contextmanager
def _redirected(descriptor: int, printed: io.StringIO) -> Generator[None]:
    root, quiet = logging.getLogger(), logging.NullHandler()
    disabled = root.manager.disable
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        for number in _DESCRIPTORS:
            with contextlib.suppress(OSError):  # A daemon may have closed it: then there is nothing to keep quiet.
                saved = os.dup(number)
                stack.callback(os.close, saved)
                stack.callback(os.dup2, saved, number)
                os.dup2(descriptor, number)
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(printed))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        # Without a handler on the root logger, logging.warning() would install one that outlives this step.
        root.addHandler(quiet)
        stack.callback(root.removeHandler, quiet)
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, disabled)
        yield
