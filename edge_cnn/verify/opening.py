"""`open_classifier` for files and for slots: a slot's version is checked on this machine before it is first used.

Slots stand on the floor below, which cannot replay golden samples; here both meet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_cnn.device import opening
from edge_cnn.device.classifier import Classifier

if TYPE_CHECKING:
    from pathlib import Path


def open_classifier(
    path: str | Path,
    *,
    runtime: str | None = None,
    artifact: str | None = None,
    input_range: tuple[float, float] | None = None,
    threads: int = 1,
    on_note: Callable[[str], None] = lambda _: None,
) -> Classifier:
    """Open a `.edgecnn`, `.tflite` or `.onnx` classifier, or the active version of a slot.

    Args:
        path: the file, or the slot's folder.
        runtime: RUNTIME name; by default the first installed one that takes the file.
        artifact: which artifact of a bundle; by default the first one that a runtime here takes.
        input_range: what pixels 0 and 255 become, instead of what the file says.
        threads: of the runtime.
        on_note: told what a slot did besides, for example that it returned to the last good version.

    Raises:
        ModelError, BundleError: the file cannot be used.
        SlotError: the slot cannot be used.
        CheckFailedError: the slot's only version fails its check.
        InputError: unknown runtime or artifact.
        RuntimeUnavailableError: no runtime for it is installed here.
    """
    if not os.path.isdir(path):
        return opening.open_classifier(
            path, runtime=runtime, artifact=artifact, input_range=input_range, threads=threads
        )
    # Imported late: a file needs nothing of slots, and a cold start shows every import.
    from pathlib import Path

    from edge_cnn.device.slots.folder import is_slot
    from edge_cnn.device.slots.start import start
    from edge_cnn.verify.slot_check import check_here

    folder = Path(path)
    if not is_slot(folder):
        # Its message about folders says all.
        return opening.open_classifier(path, runtime=runtime)
    bundle = start(folder, check_here, on_note).bundle
    chosen = opening.choose_artifact(bundle, runtime, artifact)
    return opening.classifier_of_bundle(bundle, chosen, runtime=runtime, input_range=input_range, threads=threads)
