"""What a new last layer becomes in the constants of an `.onnx` file: codes, scales and zero points, in the types and
granularity that are there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError
from edge_cnn.core.quantization import QuantizationParams, quantize
from edge_cnn.device.head.quantization import BIAS_LIMIT, SMALLEST_NORMAL, bias_params, logits_params, quantize_weights
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.split_model import HeadInfo
from edge_cnn.device.onnx.constants import Slot
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.head_layout import HeadLayout
from edge_cnn.device.onnx.parameter import Parameter
from edge_cnn.device.onnx.quantizer import Quantizer, codes_dtype, constant_of, quantizer_params


def head_slots(
    model: OnnxModel, layout: HeadLayout, info: HeadInfo, head: SoftmaxHead, logits_range: tuple[float, float]
) -> list[Slot]:
    """Every input that must change for the layer to compute `head`.

    Args:
        model, layout, info: the file and its last layer.
        head: finite, as many classes and features as the file's own.
        logits_range: smallest and largest logit of the new head.

    Raises:
        ModelError: the types of the file cannot hold the head.
    """
    weights = np.asarray(head.weights, np.float64)
    bias = np.asarray(head.bias, np.float64)
    low, high = float(logits_range[0]), float(logits_range[1])
    symmetric = _is_symmetric(model, layout, info)
    slots, weight_scales = _weight_slots(model, layout, info, weights, bias)
    if layout.bias is not None:
        slots += _bias_slots(model, layout.bias, bias, info, weight_scales, symmetric=symmetric)
    elif np.abs(bias).max() > _unnoticeable(layout, low, high):
        raise ModelError(
            f"{layout.layer.node.describe()} has no bias, but the new head has one up to {np.abs(bias).max():.4g}; "
            "export a model whose last layer has a bias"
        )
    slots += _activation_slots(model, layout.logits, low, high, symmetric=symmetric)
    # Before the bias is added the range is that of the logits less the bias of whichever class.
    slots += _activation_slots(model, layout.products, low - bias.max(), high - bias.min(), symmetric=symmetric)
    return slots


def _is_symmetric(model: OnnxModel, layout: HeadLayout, info: HeadInfo) -> bool:
    """Whether all activations of the layer are signed with zero point 0, as TensorRT's explicit quantization asks."""
    specs = [quantizer_params(model, n) for n in (*layout.logits, *layout.products)]
    if info.embedding.quantization is not None:
        specs.append(info.embedding.quantization)
    signed = all(codes_dtype(model, n).startswith("int") for n in (*layout.logits, *layout.products))
    return signed and all(set(params.zero_points) == {0} for params in specs)


def _unnoticeable(layout: HeadLayout, low: float, high: float) -> float:
    """A bias so small that leaving it out changes no logit by half a step, or by the rounding of a float."""
    return (high - low) / (2 * 255) if layout.logits else 1e-6 * max(abs(low), abs(high))


def _weight_slots(
    model: OnnxModel, layout: HeadLayout, info: HeadInfo, weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[list[Slot], QuantizationParams | None]:
    """Slots of the weights and their scale, and what the scales became (axis 0 for one a class)."""
    parameter, transposed = layout.layer.weights, layout.layer.transposed
    if parameter.params is None:
        return [_value_slot(parameter, weights if transposed else weights.T)], None
    dtype = np.dtype(info.weights_dtype)
    unsigned = dtype.kind == "u"
    signed_dtype = np.dtype(f"i{dtype.itemsize}")
    least = None
    if layout.bias is not None and layout.bias.tensor.dtype == "int32" and info.embedding.quantization is not None:
        least = np.abs(bias) / (info.embedding.quantization.scale * BIAS_LIMIT)
    codes, params = quantize_weights(weights, len(parameter.params.scales) > 1, signed_dtype, least)
    # Unsigned weights are the same numbers with the zero point in the middle.
    middle = 2 ** (8 * dtype.itemsize - 1) if unsigned else 0
    stored = (codes.astype(np.int32) + middle).astype(dtype)
    params = replace(params, zero_points=(middle,) * len(params.scales))
    values = stored if parameter.stores_codes else weights
    slots = [_value_slot(parameter, values if transposed else values.T)]
    for quantizer in parameter.quantizers:
        slots += _quantizer_slots(model, quantizer, params)
    return slots, params


def _bias_slots(
    model: OnnxModel,
    parameter: Parameter,
    bias: NDArray[np.float64],
    info: HeadInfo,
    weight_scales: QuantizationParams | None,
    *,
    symmetric: bool,
) -> list[Slot]:
    if parameter.params is None:
        return [_value_slot(parameter, bias)]
    dtype = np.dtype(parameter.codes_dtype(model))
    count = len(parameter.params.scales)
    if dtype == np.int32:
        if weight_scales is None or info.embedding.quantization is None:
            # A float layer with a quantized bias: any scale serves, so take the finest.
            scales = np.full(count, max(np.abs(bias).max(), SMALLEST_NORMAL * 2**40) / BIAS_LIMIT)
        else:
            scales = np.asarray(bias_params(info.embedding.quantization.scale, weight_scales).scales)
            scales = np.broadcast_to(scales, count) if count > 1 else scales.max(keepdims=True)
        params = QuantizationParams(tuple(float(s) for s in scales), (0,) * count, axis=0 if count > 1 else None)
    elif count == 1:
        # The Add of a MatMul that was not fused with it: an 8-bit tensor like any activation.
        params = logits_params(float(bias.min()), float(bias.max()), dtype, symmetric=symmetric)
    else:
        raise ModelError(
            f"bias {parameter.tensor.name!r} is {dtype} with {count} scales; edge_cnn writes int32 or float ones"
        )
    slots = [_value_slot(parameter, quantize(bias, params, dtype) if parameter.stores_codes else bias)]
    for quantizer in parameter.quantizers:
        slots += _quantizer_slots(model, quantizer, params)
    return slots


def _activation_slots(
    model: OnnxModel, quantizers: tuple[Quantizer, ...], low: float, high: float, *, symmetric: bool
) -> list[Slot]:
    if not quantizers:
        return []
    dtype = np.dtype(codes_dtype(model, quantizers[0]))
    params = logits_params(low, high, dtype, symmetric=symmetric)
    return [slot for quantizer in quantizers for slot in _quantizer_slots(model, quantizer, params)]


def _quantizer_slots(model: OnnxModel, quantizer: Quantizer, params: QuantizationParams) -> list[Slot]:
    """Slots of a scale and a zero point."""
    what = quantizer.node.describe()
    count = len(quantizer_params(model, quantizer).scales)
    if count != len(params.scales):
        raise ModelError(f"{what} has {count} scales, not {len(params.scales)} as the tensor next to it")
    scale = constant_of(model, *quantizer.scale)
    scales = np.asarray(params.scales, scale.dtype).reshape(scale.dims)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ModelError(f"{what} has {scale.dtype} scales, too narrow for the new head; use float32 ones")
    slots = [Slot(*quantizer.scale, scales)]
    if quantizer.has_zero_point:
        zero_point = constant_of(model, *quantizer.zero_point)
        limits = np.iinfo(np.dtype(zero_point.dtype))
        if not limits.min <= min(params.zero_points) <= max(params.zero_points) <= limits.max:
            raise ModelError(f"{what} has other codes than its neighbours; quantize them in one type")
        zero_points = np.asarray(params.zero_points, zero_point.dtype)
        # One zero point may stand for all; ours are equal.
        zero_points = zero_points[:1] if math.prod(zero_point.dims) == 1 else zero_points
        slots.append(Slot(*quantizer.zero_point, zero_points.reshape(zero_point.dims)))
    elif any(params.zero_points):
        raise ModelError(f"{what} has no zero point to change; quantize the model with zero points")
    return slots


def _value_slot(parameter: Parameter, values: NDArray[Any]) -> Slot:
    tensor = parameter.tensor
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values.reshape(tensor.dims).astype(tensor.dtype))
    if not np.isfinite(stored).all():
        raise ModelError(f"the new head goes beyond {tensor.dtype}, which {tensor.name!r} is stored in; scale it down")
    return Slot(*parameter.user, stored)
