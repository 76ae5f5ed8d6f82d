"""The one door to TensorFlow and Keras: imports them once, without their start-up chatter."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from typing import Any

from edge_cnn.core.errors import UnavailableError

_STDERR = 2


def import_tensorflow() -> tuple[Any, Any]:
    """Import TensorFlow and Keras on it; takes 4-6 s the first time.

    Returns:
        the modules `tensorflow` and `keras`.

    Raises:
        UnavailableError: one of them is not installed, or Keras was set to another backend.
    """
    # TensorFlow's C++ side reads this once, while it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    first = "tensorflow" not in sys.modules
    try:
        with stderr_kept_back() if first else contextlib.nullcontext():
            import keras
            import tensorflow as tf

            if first:
                # The first tensor makes the devices, and they write to stderr as well.
                tf.zeros(())
    except ImportError as error:
        raise UnavailableError(
            f"this needs TensorFlow and Keras, which cannot be imported here ({error}); pip install 'edge-cnn[host]'"
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise UnavailableError(
            f"Keras runs on {keras.backend.backend()!r} here, but 'tensorflow' is needed; unset KERAS_BACKEND"
        )
    return tf, keras


@contextlib.contextmanager
def stderr_kept_back() -> Generator[None]:
    """Keep what is written to file descriptor 2, also from C++, and show it only if the block fails.

    The log level above does not reach lines that are written before TensorFlow sets up its logging.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(_STDERR)
    except OSError:  # A daemon may have closed it: then there is nothing to keep back.
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), _STDERR)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, _STDERR)
            os.close(saved)
            if failed:
                kept.seek(0)
                os.write(_STDERR, kept.read())
