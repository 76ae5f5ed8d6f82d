"""Which quantization scheme runs in which runtime, as it was measured."""

from __future__ import annotations

import re

from edge_cnn.device.runtimes.scheme_results import RELEASES, RESULTS

RUNS = "runs"

_WORDS = (
    (r"\S*dequantize_common\.cc.*", "no kernel dequantizes float16 weights"),
    (r".*Hybrid models are not supported.*", "no kernels for layers of float activations and integer weights"),
    (r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'.*", r"no \1 of version \2"),
    (r".*OpFactory could not allocate op (\w+).*", r"no kernel for this \1"),
    (r"(?:\S+/)*\S+\.(?:cc|cpp|c|h|hpp)(?::\d+)?:? *", ""),
)
"""What runtimes say of files -> what they lack; at the last, the place in their source, which tells a user nothing."""


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


def in_words(verdict: str) -> str:
    """A verdict as a user reads it: "refuses: why" with what the runtime lacks instead of a line of its source."""
    kind, separator, reason = verdict.partition(": ")
    for pattern, words in _WORDS:
        reason = re.sub(pattern, words, reason)
    return f"{kind}{separator}{reason}" if reason else kind
