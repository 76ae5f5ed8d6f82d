"""A hash of all that a result is made by: the project's files that a module imports, directly or not, and the packages.

So an edit makes anew only what it can change: nothing of the device side is imported where a network is trained.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("ai-edge-litert", "flatbuffers", "keras", "mlxtend", "numpy", "onnx", "onnxruntime", "scikit-learn"),
    *("tensorflow", "tensorflow-cpu", "tf2onnx"),
)
"""Whose versions count."""


def fingerprint_of(module: str, root: Path = ROOT) -> str:
    """Of `module`, a name below `root`, with all that it imports at any time from there."""
    digest, files = hashlib.sha256(), sources_of(module, root)
    assert files, f"no module {module} below {root}"
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    for package in PACKAGES:
        digest.update(f"{package} {_version_of(package)}\n".encode())
    return digest.hexdigest()[:16]


def sources_of(module: str, root: Path = ROOT) -> list[Path]:
    """Files of `module` and of all that it imports from `root`, inside functions too, but not for type checkers."""
    found: set[Path] = set()
    wanted = [module]
    while wanted:
        parts = wanted.pop().split(".")
        # The packages above a module are imported with it.
        for depth in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:depth])
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file() and file not in found:
                    found.add(file)
                    wanted += _imports(ast.parse(file.read_bytes()))
    return sorted(found)


def _imports(node: ast.AST) -> Iterator[str]:
    """Absolute names, which are the only ones in this project; what comes after `from ... import` may be a module."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{name.name}" for name in node.names)
    else:
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.orelse if is_for_types else ast.iter_child_nodes(node):
            yield from _imports(child)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
