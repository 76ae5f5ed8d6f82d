"""`manifest.json`: what a bundle holds and how it came about."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

from edge_cnn.core.errors import BundleError, EdgeCnnError
from edge_cnn.core.manifest_check import check_manifest
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.core.tolerance import Tolerance, read_share

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ArtifactEntry:
    """What the manifest says of one artifact.

    Attributes:
        name: member name in the bundle.
        format: "tflite" or "onnx".
        scheme: "float32", "int8", ... as `export --scheme` names it.
        targets: TARGET names it was made for.
        sha256: of the member's bytes.
        input, output: specs of the only graph input and output, with their quantization.
        tolerances: kernel family -> bounds.
        host_accuracy: share of `evaluated_on` samples that this artifact gets right on the host, None if not measured.
    """

    name: str
    format: str
    scheme: str
    targets: tuple[str, ...]
    sha256: str
    input: TensorSpec
    output: TensorSpec
    tolerances: dict[str, Tolerance]
    host_accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "format": self.format,
            "scheme": self.scheme,
            "targets": list(self.targets),
            "sha256": self.sha256,
            "input": self.input.to_json(),
            "output": self.output.to_json(),
            "tolerances": {family: t.to_json() for family, t in self.tolerances.items()},
            "host_accuracy": self.host_accuracy,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> ArtifactEntry:
        accuracy = value.get("host_accuracy")
        return ArtifactEntry(
            str(value["name"]),
            str(value["format"]),
            str(value["scheme"]),
            tuple(str(t) for t in value["targets"]),
            str(value["sha256"]),
            TensorSpec.from_json(value["input"]),
            TensorSpec.from_json(value["output"]),
            {str(family): Tolerance.from_json(t) for family, t in value["tolerances"].items()},
            None if accuracy is None else read_share(accuracy, "host_accuracy"),
        )


@dataclass(frozen=True)
class Manifest:
    """The bundle's table of contents.

    Attributes:
        labels: class names, in the order of the output.
        preprocessing: from pixels to model inputs.
        artifacts: one entry a model file.
        host_accuracy: of the float model on held-out data, in [0, 1]; None if not measured.
        provenance: seed, versions, data-set fingerprints, the base of a tuned bundle; JSON values only, no clock times,
            so that the same inputs give the same bytes.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    artifacts: tuple[ArtifactEntry, ...]
    host_accuracy: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])
    schema_version: int = SCHEMA_VERSION

    def with_artifacts(self, *artifacts: ArtifactEntry) -> Manifest:
        return replace(self, artifacts=artifacts)

    def to_bytes(self) -> bytes:
        value = {
            "schema_version": self.schema_version,
            "labels": list(self.labels),
            "preprocessing": self.preprocessing.to_json(),
            "artifacts": [entry.to_json() for entry in self.artifacts],
            "host_accuracy": self.host_accuracy,
            "provenance": self.provenance,
        }
        return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Raises: BundleError: not JSON, a field is missing or wrong, fields contradict each other, a newer schema."""
        try:
            value = json.loads(data, parse_constant=_finite, parse_float=_finite)
            version = int(value["schema_version"])
            if version > SCHEMA_VERSION:
                raise BundleError(
                    f"the bundle has schema version {version}, this edge_cnn reads up to {SCHEMA_VERSION}; "
                    "update edge_cnn on this machine"
                )
            accuracy = value.get("host_accuracy")
            manifest = Manifest(
                tuple(str(label) for label in value["labels"]),
                Preprocessing.from_json(value["preprocessing"]),
                tuple(ArtifactEntry.from_json(entry) for entry in value["artifacts"]),
                None if accuracy is None else read_share(accuracy, "host_accuracy"),
                dict(value["provenance"]),
                version,
            )
            check_manifest(manifest)
        except (EdgeCnnError, RecursionError) as error:
            raise BundleError(f"manifest.json: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise BundleError(
                f"manifest.json: {type(error).__name__}: {error}; the bundle is damaged, export it again"
            ) from error
        return manifest


def _finite(text: str) -> float:
    # Python's reader takes NaN and Infinity, which JSON does not know, and makes infinity of 1e999.
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number
