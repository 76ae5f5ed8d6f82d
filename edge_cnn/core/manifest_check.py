"""Whether the parts of a manifest go together; what each part is by itself is checked where it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_cnn.core.errors import BundleError

if TYPE_CHECKING:
    from edge_cnn.core.manifest import ArtifactEntry, Manifest
    from edge_cnn.core.preprocessing import Preprocessing
    from edge_cnn.core.tensor_spec import TensorSpec

FORMATS = ("tflite", "onnx")
MAX_SIDE = 8192
"""Pixels; no classifier for small devices takes images a tenth as wide."""

_INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**31), 2**31 - 1),
}
"""Zero points by dtype; runtimes keep them in 32 bits."""

_FLOATS = ("float16", "float32", "float64")


def check_manifest(manifest: Manifest) -> None:
    """Raises: BundleError: two of its parts contradict each other, or a size is absurd."""
    if not manifest.artifacts:
        raise _fault("it names no artifact")
    _check_preprocessing(manifest.preprocessing)
    seen: set[str] = set()
    for entry in manifest.artifacts:
        if entry.name in seen:
            raise _fault(f"it names {entry.name!r} twice")
        seen.add(entry.name)
        _check_entry(entry, manifest)


def _check_entry(entry: ArtifactEntry, manifest: Manifest) -> None:
    if entry.format not in FORMATS or not entry.name.endswith(f".{entry.format}"):
        raise _fault(f"{entry.name!r} has format {entry.format!r}, which is not tflite or onnx as its name ends")
    for role, spec in (("input", entry.input), ("output", entry.output)):
        _check_spec(f"the {role} of {entry.name}", spec)
    classes = entry.output.shape[-1] if entry.output.shape else -1
    if classes > 0 and classes != len(manifest.labels):
        raise _fault(f"{len(manifest.labels)} labels for the {classes} classes of {entry.name}")
    shape, image = entry.input.shape, manifest.preprocessing.image_shape
    if len(shape) == 4 and not any(_fits(shape[1:], wanted) for wanted in (image, (image[2], *image[:2]))):
        raise _fault(f"{entry.name} takes {shape}, its images are {image} (height, width, channels)")


def _check_preprocessing(preprocessing: Preprocessing) -> None:
    height, width, channels = preprocessing.image_shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise _fault(f"images of {height}x{width} pixels, a side has 1 to {MAX_SIDE}")
    if channels not in (1, 3):
        raise _fault(f"images of {channels} channels, 1 (gray) and 3 (RGB) are known")


def _check_spec(role: str, spec: TensorSpec) -> None:
    if spec.dtype not in _INTEGERS and spec.dtype not in _FLOATS:
        raise _fault(f"{role} has element type {spec.dtype!r}")
    if any(d < -1 or d > 2**31 for d in spec.shape):
        raise _fault(f"{role} has shape {spec.shape}")
    params = spec.quantization
    if params is None:
        return
    low, high = _INTEGERS.get(spec.dtype, _INTEGERS["int32"])
    if not params.scales or len(params.scales) != len(params.zero_points):
        raise _fault(f"{role} has {len(params.scales)} scales with {len(params.zero_points)} zero points")
    if params.axis is None and len(params.scales) > 1:
        raise _fault(f"{role} has {len(params.scales)} scales along no axis")
    if params.axis is not None and not 0 <= params.axis < len(spec.shape):
        raise _fault(f"{role} has scales along axis {params.axis} of shape {spec.shape}")
    if min(params.scales) <= 0:
        raise _fault(f"{role} has scale {min(params.scales)}, which is not positive")
    if not low <= min(params.zero_points) <= max(params.zero_points) <= high:
        raise _fault(f"{role} is {spec.dtype} and has zero points {params.zero_points[:3]}")


def _fits(got: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(g in (-1, w) for g, w in zip(got, wanted, strict=True))


def _fault(what: str) -> BundleError:
    # `Manifest.from_bytes` puts the file's name before it.
    return BundleError(f"{what}; the bundle is damaged, export it again")
