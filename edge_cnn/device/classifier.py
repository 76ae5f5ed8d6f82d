"""A classifier: images in, labels and scores out, through one light runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import SUFFIX, Bundle
from edge_cnn.core.errors import InputError, ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.quantization import dequantize
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.model_input import InputEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_cnn.core.protocols import Runtime


@dataclass(frozen=True)
class Predictions:
    """Scores of n samples.

    Attributes:
        scores: float32 (n, classes), a probability a class.
        class_names: one a column.
    """

    scores: NDArray[np.float32]
    class_names: tuple[str, ...]

    @property
    def indices(self) -> NDArray[np.int64]:
        """Index of the best class, int64 (n,); the first one where several tie."""
        return self.scores.argmax(axis=1)

    @property
    def labels(self) -> list[str]:
        """Name of the best class of each sample."""
        return [self.class_names[i] for i in self.indices]

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """For each sample the `count` best (name, score) pairs, best first."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[i], float(row[i])) for i in best] for best, row in zip(order, self.scores, strict=True)
        ]


class OutputDecoder:
    """Turns what the graph's output tensor holds into probabilities.

    Args:
        spec: of the graph's only output.
        is_probability: the graph ends with a softmax; else one is applied here.
    """

    def __init__(self, spec: TensorSpec, *, is_probability: bool) -> None:
        self._table: NDArray[np.float32] | None = None
        self._quantization = spec.quantization
        self._is_probability = is_probability
        if spec.quantization is not None and spec.dtype in ("int8", "uint8"):
            codes = np.arange(256, dtype=np.uint8).view(spec.numpy_dtype)
            self._table = dequantize(codes, spec.quantization)

    def decode(self, output: NDArray[Any]) -> NDArray[np.float32]:
        """(n, classes) codes or floats -> float32 probabilities (n, classes)."""
        if self._table is not None:
            values = self._table[output.view(np.uint8)]
        elif self._quantization is not None:
            values = dequantize(output, self._quantization)
        else:
            values = output if output.dtype == np.float32 else output.astype(np.float32)
        if values.ndim != 2:
            values = values.reshape(len(values), -1)
        if self._is_probability:
            return values
        # Imported late: a graph with its own softmax never needs it.
        from edge_cnn.device.head.softmax_head import softmax

        return softmax(values)


class Classifier:
    """A model file opened for prediction; `open_classifier` makes one.

    Attributes:
        artifact: the file that runs.
        runtime: what runs it.
        labels: class names, one an output.
        preprocessing: from pixels to model inputs; None where the model takes no images.
        preprocessing_source: where the preprocessing comes from, for a person.
        bundle: the bundle that the artifact is from, if any.
        threads: of the runtime.
    """

    def __init__(
        self,
        artifact: Artifact,
        runtime: Runtime,
        labels: tuple[str, ...],
        preprocessing: Preprocessing | None,
        *,
        preprocessing_source: str,
        is_probability: bool,
        bundle: Bundle | None = None,
        threads: int = 1,
    ) -> None:
        if len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
            raise ModelError(
                f"{artifact.name} has {len(runtime.inputs)} inputs and {len(runtime.outputs)} outputs; "
                "a classifier has one of each"
            )
        self.artifact = artifact
        self.runtime = runtime
        self.labels = labels
        self.preprocessing = preprocessing
        self.preprocessing_source = preprocessing_source
        self.is_probability = is_probability
        self.bundle = bundle
        self.threads = threads
        self._encoder = InputEncoder(preprocessing, runtime.inputs[0])
        self._decoder = OutputDecoder(runtime.outputs[0], is_probability=is_probability)
        self._run = runtime.run

    def with_artifact(
        self, artifact: Artifact, runtime: Runtime, bundle: Bundle | None, labels: tuple[str, ...] | None = None
    ) -> Classifier:
        """Another file in the place of this one's, opened in `runtime`; with `labels` of its own where these differ."""
        return Classifier(
            artifact,
            runtime,
            labels or self.labels,
            self.preprocessing,
            preprocessing_source=self.preprocessing_source,
            is_probability=self.is_probability,
            bundle=bundle,
            threads=self.threads,
        )

    def predict(self, images: NDArray[Any]) -> Predictions:
        """Classify a batch.

        Args:
            images: uint8 pixels (n, height, width, channels), or float model inputs (n, ...).

        Raises:
            DataError: wrong shape or dtype, NaN or infinity.
        """
        (output,) = self._run((self._encoder.encode(images),))
        return Predictions(self._decoder.decode(output), self.labels)

    def encode(self, images: NDArray[Any]) -> NDArray[Any]:
        """What the graph's input tensor holds for `images`. Raises: DataError: as `predict`."""
        return self._encoder.encode(images)

    @cached_property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(height, width, channels) of the images it takes; None where it takes no images."""
        return self.preprocessing.image_shape if self.preprocessing else None

    def save(self, path: str | Path) -> None:
        """Write the model: the bundle where `path` ends with .edgecnn, else the artifact alone. Atomic.

        Raises:
            InputError: the suffix is of another format, there is no bundle, or the file cannot be written.
        """
        from pathlib import Path

        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == SUFFIX:
            if self.bundle is None:
                raise InputError(f"cannot write {path}: the model is a bare .{self.artifact.format} file, not a bundle")
            self.bundle.write(path)
        elif suffix == f".{self.artifact.format}":
            write_atomically(path, self.artifact.data)
        else:
            raise InputError(f"cannot write {path}: the model is a .{self.artifact.format} file; use that suffix")
