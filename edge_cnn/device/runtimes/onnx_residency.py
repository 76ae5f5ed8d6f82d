"""Which execution provider ran which share of a graph's nodes: from ONNX Runtime's own profile of one inference."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

_KERNEL = "_kernel_time"


def node_shares(session: Any) -> dict[str, float]:
    """Provider -> share of the executed nodes, summing to 1. What a provider fused into one node counts once.

    Args:
        session: made with profiling enabled; this ends it, so that later inferences are not slowed.

    Raises:
        Whatever the session raises when it cannot run zeros.
    """
    feeds = {tensor.name: _zeros(tensor) for tensor in session.get_inputs()}
    try:
        session.run(None, feeds)
    finally:
        path = Path(session.end_profiling())
    counts: Counter[str] = Counter()
    for event in json.loads(path.read_text()):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_KERNEL):
            counts[str(event.get("args", {}).get("provider", "unknown"))] += 1
    total = sum(counts.values())
    return {provider: count / total for provider, count in sorted(counts.items())}


def _zeros(tensor: Any) -> Any:
    kinds = {"float": np.float32, "float16": np.float16, "double": np.float64}
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in tensor.shape]
    return np.zeros(shape, kinds.get(kind, kind))
