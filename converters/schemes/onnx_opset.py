"""The oldest operator set that says the same of a graph: what asks for less runs on more devices."""

from __future__ import annotations

from typing import Any

OLDEST = 13
"""QuantizeLinear and DequantizeLinear have a scale for each channel from here on."""


def lower_opset(model: Any) -> None:
    """Stamp `model` with the oldest opset from 13 on at which each of its operators is what it is now; in place.

    An operator of opset 17 that was last changed in opset 11 is the same one at every opset between them.
    """
    import onnx

    stated = next(entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    operators = {node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")}
    changed = [onnx.defs.get_schema(name, stated.version).since_version for name in operators]
    stated.version = max(OLDEST, *changed)
