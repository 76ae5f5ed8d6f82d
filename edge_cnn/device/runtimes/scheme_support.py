"""Which quantization scheme runs in which runtime, as it was measured."""

from __future__ import annotations

from edge_cnn.device.runtimes.scheme_results import RELEASES, RESULTS

RUNS = "runs"


def measured(format: str, scheme: str, runtime: str) -> str | None:
    """What was measured: "runs", "refuses: why" or "known wrong: why"; None where nothing was.

    Args:
        format: "tflite" or "onnx".
        scheme: as `export --scheme` names it.
        runtime: RUNTIME or RUNTIME==RELEASE, as targets name them; of another release nothing is known.
    """
    name, _, release = runtime.partition("==")
    results = RESULTS.get((format, scheme), {})
    if release and RELEASES.get(name) != release:
        return results.get(f"{name}=={release}")
    return results.get(name)
