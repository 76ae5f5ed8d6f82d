"""Which runtimes here run a file: asked in a child process each, since a bad pair can crash instead of refusing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edge_cnn.core.artifact import TFLITE, Artifact, read_artifact
from edge_cnn.core.errors import EdgeCnnError
from edge_cnn.device.process_end import describe_end
from edge_cnn.device.runtimes.table import RUNTIMES, open_runtime

TIMEOUT_S = 60

OLD_HYBRID_DENSE = (
    "known wrong: FULLY_CONNECTED with float input and per-channel integer weights, which tflite-runtime 2.14 computes "
    "as if they were per-tensor"
)
BLOCKWISE_DENSE = (
    "known wrong: FULLY_CONNECTED with a scale for each block of weights, which TFLite before LiteRT 2.1 computes from "
    "memory that is not theirs, or crashes"
)
HIDDEN_INT4_DENSE = (
    "known wrong: FULLY_CONNECTED with float input and per-channel int4 weights, which LiteRT before 1.1 computes wrong"
)
TFLM_HAS_NO_HYBRID = "it has float activations and integer weights, and TFLite Micro has no hybrid kernels"
TFLM_DEQUANTIZES_WRONG = (
    "known wrong: DEQUANTIZE with a scale a channel, as weight-only files have it; TFLite Micro takes the first for all"
)


def check_runtimes(artifact: Artifact) -> dict[str, str]:
    """Installed runtime name -> "runs", "refuses: why" or "known wrong: why"."""
    verdicts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{artifact.format}"
        path.write_bytes(artifact.data)
        for row in RUNTIMES.values():
            if row.format == artifact.format and row.is_installed():
                verdicts[row.name] = known_wrong(artifact, row.name) or _load_in_child(path, row.name)
    return verdicts


def known_wrong(artifact: Artifact, runtime: str, version: tuple[int, ...] | None = None) -> str | None:
    """Why `runtime` loads the file and computes garbage, None if nothing of the kind is known.

    Args:
        artifact: the file.
        runtime: RUNTIME.
        version: of the runtime; None for what this project installs: tflite-runtime 2.14, LiteRT from 2.1 on.
    """
    if artifact.format != TFLITE:
        return None
    from edge_cnn.device.tflite import traits
    from edge_cnn.device.tflite.file import has_hybrid_per_channel_dense

    old = runtime.startswith("tflite-runtime")
    if runtime == "tflm":
        return TFLM_DEQUANTIZES_WRONG if traits.has_per_channel_dequantize(artifact) else None
    if old and has_hybrid_per_channel_dense(artifact):
        return OLD_HYBRID_DENSE
    if (old or (version and version < (2, 1))) and traits.has_blockwise_dense(artifact):
        return BLOCKWISE_DENSE
    if not old and version and version < (1, 1) and traits.has_hidden_int4_dense(artifact):
        return HIDDEN_INT4_DENSE
    return None


def refusal(artifact: Artifact, runtime: str) -> str | None:
    """Why `runtime` does not take the file whatever its operators, None where nothing of the kind is known."""
    if runtime != "tflm" or artifact.format != TFLITE:
        return None
    from edge_cnn.device.tflite.traits import is_hybrid

    return TFLM_HAS_NO_HYBRID if is_hybrid(artifact) else None


def _load_in_child(path: Path, runtime: str) -> str:
    # -P: the folder that the command runs in must not come first on the import path.
    command = [sys.executable, "-P", "-m", "edge_cnn.device.runtimes.runtime_check", str(path), runtime]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"refuses: still loading after {TIMEOUT_S} s"
    if child.returncode == 0:
        return "runs"
    if child.returncode < 0:
        return f"refuses: crashes with {describe_end(child.returncode)}"
    return f"refuses: {child.stdout.strip() or 'exit status ' + str(child.returncode)}"


def _main() -> int:
    path, runtime = sys.argv[1:]
    try:
        loaded = open_runtime(read_artifact(Path(path)), runtime)
        # Some files load and fail on the first inference, so run one on zeros; a dynamic dimension is taken as 1.
        zeros = [np.zeros([max(d, 1) for d in spec.shape], spec.numpy_dtype) for spec in loaded.inputs]
        loaded.run(zeros)
    except EdgeCnnError as error:
        sys.stdout.write(str(error).removeprefix(f"{runtime} refuses {Path(path).name}: "))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
