"""One thing wrong in a `.tflite` or `.onnx` file, through the vendors' own schemas: Artifact -> Artifact by format."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.artifact import Artifact

FULLY_CONNECTED, CONV_2D = 9, 3


class TfliteFile:
    """Writable views of a `.tflite` file through the vendor's own schema."""

    def __init__(self, artifact):
        from ai_edge_litert import schema_py_generated as schema

        self.bytes = bytearray(artifact.data)
        self.model = schema.Model.GetRootAs(self.bytes, 0)
        self.graph = self.model.Subgraphs(0)

    def operators(self, code):
        every = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        return [op for op in every if self.model.OperatorCodes(op.OpcodeIndex()).BuiltinCode() == code]

    def constant(self, tensor, dtype):
        return self.model.Buffers(self.graph.Tensors(tensor).Buffer()).DataAsNumpy().view(dtype)

    def quantization(self, tensor):
        return self.graph.Tensors(tensor).Quantization()


def damaged_tflite(edit):
    def damage(artifact):
        file = TfliteFile(artifact)
        edit(file)
        return Artifact(artifact.name, artifact.format, bytes(file.bytes))

    return damage


def damaged_onnx(edit):
    def damage(artifact):
        import onnx

        model = onnx.load_from_string(artifact.data)
        edit(model.graph, {tensor.name: tensor for tensor in model.graph.initializer})
        return Artifact(artifact.name, artifact.format, model.SerializeToString())

    return damage


def changed(tensor, change):
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor).copy()
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(change(array), array.dtype).reshape(array.shape), tensor.name))


def quantizers_of_activations(graph, constants):
    return [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in constants]


def flip_bit(layer, place, bit):
    """Flip one bit of one weight: of the `layer`th convolution, at a share of its weights' length."""

    def flip(weights):
        weights[int(place * len(weights))] ^= np.uint8(1 << bit)

    def tflite(file):
        flip(file.constant(file.operators(CONV_2D)[layer].Inputs(1), np.uint8))

    def onnx(_, constants):
        def change(array):
            flip(array.view(np.uint8).reshape(-1))
            return array

        changed([t for t in constants.values() if len(t.dims) == 4][layer], change)

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}


def swap_classes(first, second):
    """Exchange two rows of the head: their weights, scales and biases."""

    def swapped(array, axis):
        array = np.moveaxis(array, axis, 0)
        array[[first, second]] = array[[second, first]]

    def tflite(file):
        head = file.operators(FULLY_CONNECTED)[-1]
        weights, bias = file.constant(head.Inputs(1), np.int8), file.constant(head.Inputs(2), np.int32)
        swapped(weights.reshape(len(bias), -1), 0)
        swapped(bias, 0)
        for tensor in (head.Inputs(1), head.Inputs(2)):
            scales = file.quantization(tensor).ScaleAsNumpy()
            if len(scales) == len(bias):
                swapped(scales, 0)

    def onnx(graph, constants):
        (head,) = [n for n in graph.node if n.op_type in ("Gemm", "MatMul")][-1:]
        maker = {output: node for node in graph.node for output in node.output}
        for source in head.input[1:]:
            for name in maker[source].input:
                tensor = constants[name]
                classes = [axis for axis, size in enumerate(tensor.dims) if size == 10]
                if classes:

                    def change(array, axis=classes[-1]):
                        swapped(array, axis)
                        return array

                    changed(tensor, change)

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}


def scale_logits_by(factor):
    """Let the head's own output be read with another scale, in the graph as on the way out of it."""

    def tflite(file):
        scale = file.quantization(file.operators(FULLY_CONNECTED)[-1].Outputs(0)).ScaleAsNumpy()
        scale *= np.float32(factor)

    def onnx(graph, constants):
        (head,) = [n for n in graph.node if n.op_type in ("Gemm", "MatMul")][-1:]
        maker = {output: node for node in graph.node for output in node.output}
        weights = maker[head.input[1]]
        changed(constants[weights.input[1]], lambda scales: scales * np.float32(factor))

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}


def move_zero_point(which):
    """Add one to the zero point of an activation: 0 is the input of the graph, -1 the logits."""

    def tflite(file):
        tensor = file.operators(CONV_2D)[0].Inputs(0) if which == 0 else file.operators(FULLY_CONNECTED)[-1].Outputs(0)
        zero_point = file.quantization(tensor).ZeroPointAsNumpy()
        zero_point += 1

    def onnx(graph, constants):
        # On one side of the codes only: a quantizer and a dequantizer that move together cancel.
        quantizer = quantizers_of_activations(graph, constants)[which]
        readers = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] == quantizer.output[0]]
        for node in readers if which == 0 else [quantizer]:
            moved = graph.initializer.add()
            moved.CopyFrom(constants[node.input[2]])
            moved.name += "_moved"
            changed(moved, lambda zero: zero + 1)
            node.input[2] = moved.name

    return {"tflite": damaged_tflite(tflite), "onnx": damaged_onnx(onnx)}
