"""Yesterday's figures in a file: what each artifact answered on each device, sample by sample."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import InputError
from edge_cnn.verify.verify_result import VerifyReport, VerifyResult

VERSION = 1
MARK = "edge_cnn_baseline"
MAX_BYTES = 2**28


@dataclass(frozen=True)
class BaselineCell:
    """One artifact on one device in an earlier run.

    Attributes:
        artifact, device, runtime: which cell.
        artifact_sha256: of the model file.
        runtime_version, kernels: what ran it; kernels is the family.
        machine: architecture and the instruction sets that kernels are chosen by; empty where nobody told.
        output_sha256: of all that it computed.
        max_lsb: largest difference from the host in codes; None for floats.
        mean_lsb: mean absolute difference from the host in codes; None for floats.
        answers: the first best class of each golden sample.
    """

    artifact: str
    device: str
    runtime: str
    artifact_sha256: str
    runtime_version: str
    kernels: str
    machine: str
    output_sha256: str
    max_lsb: int | None
    mean_lsb: float | None
    answers: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.artifact, self.device, self.runtime

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "answers": list(self.answers)}


@dataclass(frozen=True)
class Baseline:
    """A run that later ones are compared with.

    Attributes:
        bundle: its file name.
        samples_sha256: of golden inputs, labels and preprocessing; answers can be paired where this is the same.
        cells: one an artifact, device and runtime.
    """

    bundle: str
    samples_sha256: str
    cells: tuple[BaselineCell, ...]

    def to_bytes(self) -> bytes:
        value = {
            MARK: VERSION,
            "bundle": self.bundle,
            "samples_sha256": self.samples_sha256,
            "cells": [cell.to_json() for cell in self.cells],
        }
        # One cell a line, so that a change shows as such in version control.
        head = json.dumps({k: v for k, v in value.items() if k != "cells"}, indent=1, ensure_ascii=False)
        rows = ",\n".join("  " + json.dumps(c.to_json(), sort_keys=True, ensure_ascii=False) for c in self.cells)
        return f'{head[:-2]},\n "cells": [\n{rows}\n ]\n}}\n'.encode()


def samples_hash(bundle: Bundle) -> str:
    """SHA-256, hexadecimal, of what the golden samples ask: inputs, labels, and how pixels become inputs."""
    golden = bundle.golden
    assert golden is not None, "asked of bundles with golden samples only"
    digest = hashlib.sha256(json.dumps(bundle.manifest.preprocessing.to_json(), sort_keys=True).encode())
    for array in (golden.inputs, golden.labels):
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(f"{array.dtype.name}{array.shape}".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def mean_absolute_lsb(histogram: dict[int, int]) -> float | None:
    """Mean of the absolute differences in codes; None where nothing was counted in codes."""
    total = sum(histogram.values())
    return sum(abs(lsb) * count for lsb, count in histogram.items()) / total if total else None


def baseline_of(report: VerifyReport, bundle: Bundle, earlier: Baseline | None = None) -> Baseline:
    """This run's figures; cells of `earlier` that this run did not touch stay, if they are of the same samples.

    So machines of different kinds can each add what they ran.
    """
    samples = samples_hash(bundle)
    cells = {c.key: c for c in earlier.cells} if earlier is not None and earlier.samples_sha256 == samples else {}
    for result in report.results:
        cell = cell_of(result, bundle)
        if cell is not None:
            cells[cell.key] = cell
    return Baseline(report.name, samples, tuple(cells[key] for key in sorted(cells)))


def cell_of(result: VerifyResult, bundle: Bundle) -> BaselineCell | None:
    """The result as a cell; None where the artifact did not run."""
    parity = result.parity
    if parity is None:
        return None
    return BaselineCell(
        result.artifact,
        result.device,
        result.runtime,
        bundle.entry(result.artifact).sha256,
        parity.runtime_version,
        result.kernels,
        " ".join((result.facts.machine, *result.facts.kernel_features)) if result.facts else "",
        parity.output_sha256,
        parity.compared.max_lsb,
        mean_absolute_lsb(parity.compared.histogram),
        parity.answers.after,
    )


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write atomically. Raises: InputError: the folder is missing or not writable."""
    write_atomically(path, baseline.to_bytes())


def read_baseline(path: Path) -> Baseline:
    """Raises: InputError: missing, damaged, no baseline, or written by a newer edge_cnn."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path} has {size} bytes, a baseline at most {MAX_BYTES}; is it another file?")
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"no baseline at {path}; write one with --update-baseline") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give another baseline") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a readable baseline: {error}; {_REMEDY}") from error
    if not isinstance(value, dict) or MARK not in value:
        raise InputError(f"{path} is JSON but no baseline of edge_cnn, so it is left alone; give another name")
    fields = cast("dict[str, Any]", value)
    version = fields[MARK]
    if version != VERSION:
        raise InputError(f"{path} is a baseline of version {version!r}, this edge_cnn reads {VERSION}; update edge_cnn")
    try:
        cells = tuple(_cell(cell) for cell in fields["cells"])
        return Baseline(_text(fields["bundle"]), _text(fields["samples_sha256"]), cells)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is a damaged baseline: {type(error).__name__}: {error}; {_REMEDY}") from error


_REMEDY = "restore it, or remove it and write a new one with --update-baseline"


def check_samples(baseline: Baseline, bundle: Bundle, path: Path) -> None:
    """Make sure that answers can be paired: `baseline`, read from `path`, has one for each golden sample of `bundle`.

    Raises:
        InputError: it is of other samples, or damaged.
    """
    if baseline.samples_sha256 != samples_hash(bundle):
        raise InputError(
            f"{path} is a baseline of other golden samples (it was made from {baseline.bundle}); "
            "give the one of this bundle, or write it with --update-baseline"
        )
    samples = 0 if bundle.golden is None else len(bundle.golden.labels)
    for cell in baseline.cells:
        if len(cell.answers) != samples:
            raise InputError(
                f"{path} is a damaged baseline: {len(cell.answers)} answers of {cell.artifact} on {cell.device} "
                f"for {samples} samples; {_REMEDY}"
            )


def _cell(value: dict[str, Any]) -> BaselineCell:
    max_lsb, mean_lsb = value["max_lsb"], value["mean_lsb"]
    return BaselineCell(
        **{name: _text(value[name]) for name in _TEXTS},
        max_lsb=None if max_lsb is None else int(max_lsb),
        mean_lsb=None if mean_lsb is None else float(mean_lsb),
        answers=tuple(int(answer) for answer in value["answers"]),
    )


_TEXTS = (
    "artifact", "device", "runtime", "artifact_sha256", "runtime_version", "kernels", "machine", "output_sha256",
)  # fmt: skip


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:30]!r} is no text")
    return value
