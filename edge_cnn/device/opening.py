"""`open_classifier`: from a path to a classifier, whoever made the file."""

from __future__ import annotations

import contextlib
import math
import os
from typing import TYPE_CHECKING

import numpy as np

from edge_cnn.core.artifact import ONNX, Artifact, read_artifact
from edge_cnn.core.bundle import SUFFIX, Bundle, read_bundle
from edge_cnn.core.errors import InputError, ModelError, RuntimeUnavailableError
from edge_cnn.core.preprocessing import Preprocessing, input_range
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.model_input import image_shape
from edge_cnn.device.runtimes.table import find_runtime, installed_runtimes, open_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from edge_cnn.core.protocols import Runtime

KNOWN_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
RANGE_TOLERANCE = 0.03
"""Share of the width by which a calibrated range may miss one of the known ones."""


def open_classifier(
    path: str | Path,
    *,
    runtime: str | None = None,
    artifact: str | None = None,
    input_range: tuple[float, float] | None = None,
    threads: int = 1,
) -> Classifier:
    """Open a `.edgecnn`, `.tflite` or `.onnx` classifier.

    Args:
        path: the file.
        runtime: RUNTIME name; by default the first installed one that takes the file.
        artifact: which artifact of a bundle; by default the first one that a runtime here takes.
        input_range: what pixels 0 and 255 become, instead of what the file says.
        threads: of the runtime.

    Raises:
        ModelError, BundleError: the file cannot be used.
        InputError: unknown runtime or artifact.
        RuntimeUnavailableError: no runtime for it is installed here.
    """
    if os.path.splitext(path)[1].lower() == SUFFIX:
        bundle = read_bundle(path)
        chosen = choose_artifact(bundle, runtime, artifact)
        return classifier_of_bundle(bundle, chosen, runtime=runtime, input_range=input_range, threads=threads)
    if artifact is not None:
        raise InputError(f"{path} is a single model file; an artifact name goes with a bundle")
    return classifier_of_file(read_artifact(path), runtime=runtime, input_range=input_range, threads=threads)


def choose_artifact(bundle: Bundle, runtime: str | None, name: str | None) -> Artifact:
    """The artifact called `name`, else the first one that `runtime`, or any runtime here, takes.

    Raises:
        BundleError: no artifact of that name.
        InputError: unknown runtime, or no artifact is of its format.
        RuntimeUnavailableError: no runtime here takes any.
    """
    if name is not None:
        return bundle.artifact(name)
    if runtime is not None:
        wanted = find_runtime(runtime).format
        for candidate in bundle.artifacts:
            if candidate.format == wanted:
                return candidate
        held = ", ".join(a.name for a in bundle.artifacts)
        raise InputError(f"runtime {runtime!r} loads .{wanted} files, the bundle holds {held}; choose another runtime")
    for candidate in bundle.artifacts:
        if installed_runtimes(candidate.format):
            return candidate
    held = ", ".join(a.name for a in bundle.artifacts)
    raise RuntimeUnavailableError(f"no runtime here takes {held}; pip install 'edge-cnn[litert]' or 'edge-cnn[onnx]'")


def classifier_of_bundle(
    bundle: Bundle,
    artifact: Artifact,
    *,
    runtime: str | None = None,
    input_range: tuple[float, float] | None = None,
    threads: int = 1,
) -> Classifier:
    """Open one artifact of a bundle with the manifest's labels and preprocessing. Raises: as `open_classifier`."""
    opened = open_runtime(artifact, runtime, threads=threads)
    preprocessing, source = bundle.manifest.preprocessing, "the manifest"
    if input_range is not None:
        preprocessing, source = _preprocessing_of_range(input_range, preprocessing.image_shape)
    return Classifier(
        artifact,
        opened,
        bundle.manifest.labels,
        preprocessing,
        preprocessing_source=source,
        is_probability=ends_with_softmax(artifact, opened.outputs),
        bundle=bundle,
        threads=threads,
    )


def classifier_of_file(
    artifact: Artifact,
    *,
    runtime: str | None = None,
    input_range: tuple[float, float] | None = None,
    threads: int = 1,
) -> Classifier:
    """Open a bare file; labels and preprocessing are its metadata's, else derived. Raises: as `open_classifier`."""
    opened = open_runtime(artifact, runtime, threads=threads)
    labels, normalization = _metadata(artifact)
    shape = None
    if opened.inputs:
        with contextlib.suppress(ModelError):  # A model without an image input takes float inputs only.
            shape = image_shape(opened.inputs[0])
    preprocessing: Preprocessing | None = None
    source = "none: the model takes no images"
    if shape is not None:
        if input_range is not None:
            preprocessing, source = _preprocessing_of_range(input_range, shape)
        elif normalization is not None:
            preprocessing, source = Preprocessing(*shape, *normalization), "the file's metadata"
        else:
            preprocessing, source = _preprocessing_of_quantization(_input_codes(artifact, opened.inputs[0]), shape)
    classes = count_classes(artifact, opened)
    if labels is None or len(labels) != classes:
        labels = tuple(str(i) for i in range(classes))
    return Classifier(
        artifact,
        opened,
        labels,
        preprocessing,
        preprocessing_source=source,
        is_probability=ends_with_softmax(artifact, opened.outputs),
        threads=threads,
    )


def count_classes(artifact: Artifact, runtime: Runtime) -> int:
    """How many scores the graph's output holds for one sample.

    Raises:
        ModelError: it has several inputs or outputs, gives class indices instead of scores, or a single value.
    """
    if len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
        raise ModelError(
            f"{artifact.name} has {len(runtime.inputs)} inputs and {len(runtime.outputs)} outputs; "
            "a classifier has one of each"
        )
    spec = runtime.outputs[0]
    dimensions = spec.shape[1:]
    if not dimensions or min(dimensions) < 1:
        # The file does not say: one inference on zeros does.
        entry = runtime.inputs[0]
        zeros = np.zeros([max(d, 1) for d in entry.shape], entry.numpy_dtype)
        dimensions = runtime.run((zeros,))[0].shape[1:]
    classes = math.prod(dimensions)
    if spec.quantization is None and spec.numpy_dtype.kind not in "f":
        raise ModelError(f"{artifact.name} gives {spec.dtype} {spec.shape} instead of scores; export it without ArgMax")
    if classes < 2:
        raise ModelError(
            f"{artifact.name} gives {classes} value a sample, a classifier one a class; export it with two outputs"
        )
    return classes


def ends_with_softmax(artifact: Artifact, outputs: tuple[TensorSpec, ...]) -> bool:
    """Whether the graph's output is a probability already.

    An 8-bit softmax has the fixed quantization 1/256 (TFLite 8-bit specification), so most files tell without parsing.
    """
    if len(outputs) == 1 and outputs[0].quantization is not None and outputs[0].dtype in ("int8", "uint8"):
        quantization = outputs[0].quantization
        if quantization.scales == (1 / 256,) and quantization.zero_point == np.iinfo(outputs[0].dtype).min:
            return True
    from edge_cnn.device.head.surgery import has_softmax

    return has_softmax(artifact)


def _preprocessing_of_range(low_high: tuple[float, float], shape: tuple[int, int, int]) -> tuple[Preprocessing, str]:
    return input_range(low_high[0], low_high[1], shape), "the given input range"


def _input_codes(artifact: Artifact, spec: TensorSpec) -> TensorSpec:
    """The tensor that the pixels become codes in: the input itself, or what a quantizer right behind it writes."""
    if spec.quantization is not None:
        return spec
    from edge_cnn.device.input_quantizer import quantized_input

    return quantized_input(artifact) or spec


def _preprocessing_of_quantization(spec: TensorSpec, shape: tuple[int, int, int]) -> tuple[Preprocessing, str]:
    quantization = spec.quantization
    if quantization is not None and len(quantization.scales) == 1 and spec.numpy_dtype.kind in "iu":
        limits = np.iinfo(spec.numpy_dtype)
        low = (int(limits.min) - quantization.zero_point) * quantization.scale
        high = (int(limits.max) - quantization.zero_point) * quantization.scale
        for known_low, known_high in KNOWN_RANGES:
            slack = RANGE_TOLERANCE * (known_high - known_low)
            if abs(low - known_low) <= slack and abs(high - known_high) <= slack:
                source = "the range of the input quantization"
                if (known_low, quantization.zero_point) == (-1.0, 0):
                    source += "; it is symmetric, so 0..1 is as likely: --input-range 0,1 says so"
                return input_range(known_low, known_high, shape), source
    return input_range(0.0, 255.0, shape), "the default, for want of metadata; --input-range LO,HI overrides it"


def _metadata(artifact: Artifact) -> tuple[tuple[str, ...] | None, tuple[tuple[float, ...], tuple[float, ...]] | None]:
    """Labels, and (mean, std) in units of pixels, as far as the file carries them."""
    if artifact.format == ONNX:
        from edge_cnn.device.onnx.metadata import read_onnx_metadata

        labels, preprocessing = read_onnx_metadata(artifact)
        return labels, (preprocessing.mean, preprocessing.std) if preprocessing else None
    from edge_cnn.device.tflite.metadata import read_tflite_metadata

    return read_tflite_metadata(artifact)
