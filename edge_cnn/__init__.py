"""Edge inference and on-device fine-tuning of CNNs: train on a host, run and tune the last layer on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_cnn.core.bundle import Bundle, read_bundle
    from edge_cnn.core.errors import EdgeCnnError, ToleranceError
    from edge_cnn.device.classifier import Classifier, Predictions
    from edge_cnn.device.finetuning.finetuning import finetune
    from edge_cnn.device.finetuning.result import FinetuneResult
    from edge_cnn.verify.opening import open_classifier
    from edge_cnn.verify.replay import verify

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "edge_cnn.core.bundle",
    "Classifier": "edge_cnn.device.classifier",
    "EdgeCnnError": "edge_cnn.core.errors",
    "FinetuneResult": "edge_cnn.device.finetuning.result",
    "Predictions": "edge_cnn.device.classifier",
    "ToleranceError": "edge_cnn.core.errors",
    "finetune": "edge_cnn.device.finetuning.finetuning",
    "open_classifier": "edge_cnn.verify.opening",
    "read_bundle": "edge_cnn.core.bundle",
    "verify": "edge_cnn.verify",
}
"""Name -> where it is defined; `verify` is a package that can be called."""

__all__ = [
    "Bundle",
    "Classifier",
    "EdgeCnnError",
    "FinetuneResult",
    "Predictions",
    "ToleranceError",
    "__version__",
    "finetune",
    "open_classifier",
    "read_bundle",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): `import edge_cnn` alone must cost next to nothing on a small board."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'edge_cnn' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    value = home if home.__name__ == f"edge_cnn.{name}" else getattr(home, name)
    globals()[name] = value
    return value
