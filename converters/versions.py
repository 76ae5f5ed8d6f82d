"""Versions of everything whose change could change an export."""

from __future__ import annotations

import importlib.metadata

import edge_cnn

_DISTRIBUTIONS = ("tensorflow", "keras", "ai-edge-litert", "onnxruntime", "onnx", "tf2onnx", "numpy")


def installed_versions() -> dict[str, str | None]:
    """Name -> version, None for what is not installed; `tensorflow` may be its CPU build."""
    return {"edge_cnn": edge_cnn.__version__} | {name: _version(name) for name in _DISTRIBUTIONS}


def _version(distribution: str) -> str | None:
    for name in (distribution, f"{distribution}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
