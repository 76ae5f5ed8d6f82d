"""Which quantization scheme runs in which runtime, as it was measured."""

from __future__ import annotations

from edge_cnn.device.runtimes.scheme_results import RELEASES, RESULTS

RUNS = "runs"


def runs(verdict: str | None) -> bool:
    """Whether a verdict is "runs", be it to the bit or "runs, within 1 step"."""
    return verdict is not None and verdict.partition(",")[0] == RUNS


def measured(format: str, scheme: str, runtime: str) -> str | None:
    """What was measured: "runs", "runs, within N steps", "refuses: why" or "known wrong: why"; None where nothing was.

    "Runs" alone says of integer logits that they are those of LiteRT's reference kernels to the bit. A step is one of
    the logits' own scale.

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
