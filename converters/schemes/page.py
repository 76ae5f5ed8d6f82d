"""docs/schemes.md, made from the code: what schemes there are, where they run, and what they cost in accuracy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from converters.schemes.accuracy_results import ACCURACY
from converters.schemes.table import RECIPES
from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.device.runtimes.scheme_results import RELEASES, RESULTS
from edge_cnn.device.runtimes.scheme_support import in_words

_HEAD = """# Quantization schemes

This page is made from the code: `python -m converters.schemes.page docs/schemes.md`. The measurements in the code are
made anew by `make schemes`, which runs `tests/benchmarks/schemes.py --write`, and by
`python -m tests.benchmarks.scheme_accuracy --write` with EDGE_CNN_DATA set.

```
edge-cnn export model.keras --target linux-cpu --scheme int8 --scheme float16 --calibration digits --out model.edgecnn
```

"""

_NOTES = """
All `.tflite` schemes start from the float32 `.tflite` of the model, BatchNorm folded, and from the same ranges. Weights
are symmetric: scale max|w| / 127, or max|w| / 7 of int4, so weights that quantization-aware training rounded already
keep their codes. `int4-weights` has one scale a channel of CONV_2D and one of FULLY_CONNECTED; DEPTHWISE_CONV_2D stays
int8. In `dynamic-int8` FULLY_CONNECTED has one scale, since old runtimes read the first for all. Versions of operators
and `min_runtime_version` say what a file needs, so that an older runtime refuses it instead of computing something
else.

`.onnx` schemes take their ranges from the same samples by the same method (`--calibration-method`). `dynamic-int8` as
`.onnx` rounds by the range of the whole batch: a sample's scores depend on the samples beside it.

`finetune` writes a new last layer into the files of every scheme, in the types that the file has.

## Where they run

Each cell was measured: the file in that runtime, in a process of its own, against LiteRT's reference kernels on the
same file or, where there are none, against the float model. A target takes a scheme where all its runtimes run it;
`export` says so otherwise. Where logits are integers, "runs" alone says that they are those of LiteRT's reference
kernels to the bit, and "within N steps" how far the furthest of 200 samples' logits is from them, in steps of their
scale; a step may be several steps of the softmax behind it. Float logits are not counted.

"""

_FOREIGN = """
The last rows of `.tflite` are files as AI Edge Quantizer writes them: every operator at version 1 and FULLY_CONNECTED
with a scale a class. `inspect` recognises such files by what is in them, and names the runtimes that compute them
wrongly.

"""

_ROUNDING = """
### Why integers differ

The operators of TFLite Micro give the same bits as LiteRT's reference kernels but for one, FULLY_CONNECTED. The 8-bit
specification of TFLite says what its sum is and what the sum is multiplied by, but not how the product is rounded:

- LiteRT 2.3 rounds it once, to the nearest, in every integer scheme.
- TFLite Micro rounds int8 outputs twice, as both do in convolutions: to n binary places, then to whole codes. So the
  fully-connected layer is a step further from 0 where the first rounding made a half of less than a half: one logit in
  2^(n+1), where the factor input scale x weight scale / output scale is below 2^-n and at least half of that. On
  ResNet-8 it is 0.0083 in `int8` (n = 6), which is one logit in 128, and 0.23 in `int4-weights`, whose codes are 18
  times coarser (n = 2), which is one in 8.
- Of `int16x8` TFLite Micro and tflite-runtime 2.14 round once, but multiply by 16 bits of the factor instead of
  31, as all do in convolutions.

`tests/converters/schemes/test_kernel_rounding.py` holds each against integers of any size, to the bit: LiteRT's is the
exact product rounded to the nearest, the others are not. A layer of its own is off by one step at most; steps add up
where several fully-connected layers follow each other. Convolutions of `litert` and `tflite-runtime` are XNNPACK's and
those of optimized kernels, which round otherwise than both. A scale a channel does not mend it: `int16x8` has one, and
TFLite Micro and tflite-runtime 2.14 refuse `int4-weights` with them in FULLY_CONNECTED.

"""

_ACCURACY = """## What they cost

`python -m tests.benchmarks.scheme_accuracy`, on the MLPerf Tiny models: files in LiteRT and ONNX Runtime on x86-64, a
sample at a time. ResNet-8: CIFAR-10's 10,000 test images and MLPerf's 200, calibrated on the first 500 training images.
DS-CNN: the official 1,000 keyword samples, of which every tenth calibrates, since there are no training samples beside
them; the other 900 alone are the fair column. Autoencoder: how near outputs are to float (SQNR) on synthetic spectra.
Ranges are min-max, or what the row names (`--calibration-method`).
"""


def page() -> str:
    """The whole page, Markdown."""
    return (
        _HEAD
        + _schemes()
        + _NOTES
        + _runtimes(TFLITE)
        + _FOREIGN
        + _ROUNDING
        + _runtimes(ONNX)
        + "\n"
        + _ACCURACY
        + _accuracy()
    )


def _schemes() -> str:
    rows = [[key[0], f"`{key[1]}`", recipe.about] for key, recipe in RECIPES.items()]
    return _table(["format", "scheme", "what"], rows)


def _runtimes(kind: str) -> str:
    rows = {key[1]: row for key, row in RESULTS.items() if key[0] == kind}
    columns = list(dict.fromkeys(runtime for row in rows.values() for runtime in row))
    heads = [_column(runtime) for runtime in columns]
    notes: list[str] = []
    cells: list[list[str]] = []
    for scheme, row in rows.items():
        line = [scheme]
        for runtime in columns:
            verdict = row.get(runtime, "not run")
            word, colon, reason = in_words(verdict).partition(": ")
            if colon and reason not in notes:
                notes.append(reason)
            line.append(f"{word} ({notes.index(reason) + 1})" if colon else word)
        cells.append(line)
    told = "".join(f"{i}. {note}\n" for i, note in enumerate(notes, 1))
    return f"### .{kind}\n\n{_table(['scheme', *heads], cells)}\n{told}"


def _column(runtime: str) -> str:
    name, separator, release = runtime.partition("==")
    return f"{name} {release if separator else RELEASES.get(runtime, '')}".strip()


def _accuracy() -> str:
    parts: list[str] = []
    for model, rows in ACCURACY.items():
        columns = list(dict.fromkeys(name for row in rows.values() for name in row if name not in ("bytes", "error")))
        cells = [
            [key[0], key[1], str(row.get("bytes", "-")), *(_value(row.get(name)) for name in columns)]
            for key, row in rows.items()
        ]
        parts.append(f"\n### {model}\n\n" + _table(["format", "scheme", "bytes", *columns], cells))
    return "".join(parts)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2%}" if 0 <= value <= 1 else f"{value:.1f} dB"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |\n" for line in lines)


def main() -> int:
    """Write the page to the path that is given."""
    (path,) = sys.argv[1:]
    Path(path).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
