"""The two models of an explanation, from files of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from converters.explanation.quantized_model import QuantizedModel
from converters.explanation.quantized_onnx import QuantizedOnnx
from converters.explanation.quantized_tflite import QuantizedTflite
from converters.float_graph.float_graph import FloatGraph
from converters.sources.load import load_classifier
from edge_cnn.core.artifact import ONNX, TFLITE, Artifact, read_artifact
from edge_cnn.core.bundle import SUFFIX, Bundle, read_bundle
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.onnx.metadata import read_onnx_metadata
from edge_cnn.device.tflite.metadata import read_tflite_metadata

_FLOAT = "float32"


@dataclass(frozen=True)
class Reference:
    """The float model.

    Attributes:
        name: of the file, without its suffix.
        graph: float32, BatchNorm folded.
        labels, preprocessing: what is stated with it, None where nothing is.
    """

    name: str
    graph: FloatGraph
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of its input."""
        height, width, channels = self.graph.tensors[self.graph.inputs[0]].shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        return int(self.graph.tensors[self.graph.outputs[0]].shape[-1])


@dataclass(frozen=True)
class Quantized:
    """The quantized file.

    Attributes:
        artifact: the file itself.
        model: its codes and operators.
        labels, preprocessing: what its manifest or metadata state, None where they state nothing.
    """

    artifact: Artifact
    model: QuantizedModel
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None


def read_reference(path: Path) -> Reference:
    """The float model of a `.keras`, `.h5`, SavedModel, `.onnx`, float `.tflite`, or bundle with a float32 file.

    Raises:
        ModelError, BundleError: it cannot be read, is quantized itself, or is no image classifier.
    """
    suffix = path.suffix.lower()
    if suffix == SUFFIX:
        bundle = read_bundle(path)
        name = next((e.name for e in bundle.manifest.artifacts if (e.format, e.scheme) == (TFLITE, _FLOAT)), None)
        if name is None:
            raise ModelError(f"{path} holds no float32 .tflite to compare with; give the model it was exported from")
        graph = FloatGraph(bundle.artifact(name).data)
        return _checked(Reference(path.stem, graph, bundle.manifest.labels, bundle.manifest.preprocessing), path)
    if suffix == ".onnx":
        _check_float_onnx(path)
    source = load_classifier(path)
    return _checked(Reference(source.name, source.float_graph, source.labels, source.preprocessing), path)


def read_quantized(path: Path, name: str | None = None) -> Quantized:
    """The quantized file of a bundle, or a `.tflite` or `.onnx`.

    Args:
        path: the file.
        name: which artifact of a bundle; the first quantized one if None.

    Raises:
        ModelError, BundleError: it cannot be read, or has no codes to explain.
    """
    if path.suffix.lower() == SUFFIX:
        bundle = read_bundle(path)
        artifact = _quantized_artifact(bundle, path, name)
        labels, preprocessing = bundle.manifest.labels, bundle.manifest.preprocessing
    else:
        if name is not None:
            raise ModelError(f"{path} is a single model file; an artifact name goes with a bundle")
        artifact = read_artifact(path)
        labels = preprocessing = None
    model = QuantizedOnnx(artifact.data) if artifact.format == ONNX else QuantizedTflite(artifact.data)
    if not any(o.weights is not None or o.output is not None for o in model.operators):
        raise ModelError(f"{artifact.name} is not quantized, its weights and activations are float; give the int8 file")
    if labels is None:
        labels, preprocessing = _stated(artifact)
    return Quantized(artifact, model, labels, preprocessing)


def _quantized_artifact(bundle: Bundle, path: Path, name: str | None) -> Artifact:
    if name is not None:
        return bundle.artifact(name)
    found = next((e.name for e in bundle.manifest.artifacts if e.scheme != _FLOAT), None)
    if found is None:
        raise ModelError(f"{path} holds float32 files only; export it with --scheme int8")
    return bundle.artifact(found)


def _stated(artifact: Artifact) -> tuple[tuple[str, ...] | None, Preprocessing | None]:
    if artifact.format == ONNX:
        return read_onnx_metadata(artifact)
    labels, normalization = read_tflite_metadata(artifact)
    graph = FloatGraph(artifact.data)
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    if normalization is None or len(shape) != 3:
        return labels, None
    return labels, Preprocessing(shape[0], shape[1], shape[2], *normalization)


def _check_float_onnx(path: Path) -> None:
    import onnx

    artifact = read_artifact(path)
    ops = {node.op_type for node in onnx.ModelProto.FromString(artifact.data).graph.node}
    if ops & {"QuantizeLinear", "DequantizeLinear"} or any(op.startswith("QLinear") for op in ops):
        raise ModelError(f"{path} is quantized itself; --reference takes the float model that it was made from")


def _checked(reference: Reference, path: Path) -> Reference:
    graph = reference.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"{path} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, a classifier has one of each; "
            "give a classifier"
        )
    shape = graph.tensors[graph.inputs[0]].shape
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise ModelError(f"{path} takes inputs of shape {shape}, 'explain' needs images; give an image classifier")
    if reference.classes < 2:
        raise ModelError(f"{path} gives {reference.classes} value a sample; give a classifier")
    return reference
