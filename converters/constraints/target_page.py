"""docs/targets.md from the table: `python -m converters.constraints.target_page docs/targets.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from converters.constraints.table import RULE_SETS
from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.core.targets import TARGETS, Target

_HEAD = """# Targets of `edge-cnn export`

This page is made from the code: `python -m converters.constraints.target_page docs/targets.md`.

A target is one row of `edge_cnn/core/targets.py`. Its file is made in the first of its schemes unless `--scheme` names
another, must keep the rules below, and must run on one of its runtimes at the version that stands there; a runtime
without a version is taken as the newest that is known. `edge-cnn targets NAME` shows one row whole.

| target | what | format | schemes | runtimes | compiler |
|---|---|---|---|---|---|
"""

_OPTIONS = """
## Memory, options and remarks

"""

_RULES = """
## Rules

Each is one function of `converters/constraints/`, whose first line this is. A file that breaks one is not written, and
the message names what breaks it.
"""


def page() -> str:
    """The whole page, Markdown."""
    rows = "".join(_row(target) for target in TARGETS.values())
    remarks = "".join(f"- `{t.name}`: {'; '.join(_remarks(t))}\n" for t in TARGETS.values() if _remarks(t))
    return _HEAD + rows + _OPTIONS + remarks + _RULES + "".join(_rules(name) for name in RULE_SETS)


def _row(target: Target) -> str:
    compiler = " ".join((target.compiler, *target.compiler_options)) or "-"
    return (
        f"| `{target.name}` | {target.description} | .{target.format} | {', '.join(target.schemes)} "
        f"| {', '.join(target.runtimes)} | {compiler} |\n"
    )


def _remarks(target: Target) -> list[str]:
    remarks = [
        f"{name} {value if isinstance(value, int | str) else ', '.join(value)}"
        for name, value in target.runtime_options.items()
    ]
    if target.memory is not None:
        remarks.append(f"{target.memory.flash // 1024:,} KiB of flash, {target.memory.ram // 1024:,} KiB of RAM")
    return [*remarks, *([target.note] if target.note else [])]


def _rules(name: str) -> str:
    users = [t.name for t in TARGETS.values() if name == t.format or name in t.rules]
    of = {TFLITE: "every .tflite", ONNX: "every .onnx"}.get(name, ", ".join(f"`{user}`" for user in users))
    lines = [f"- {rule.message}{_schemes(rule.schemes)}\n" for rule in RULE_SETS[name]]
    return f"\n### {name}: {of}\n\n{''.join(lines)}"


def _schemes(schemes: frozenset[str]) -> str:
    return f" ({', '.join(sorted(schemes))})" if schemes else ""


def main() -> int:
    """Write the page to the path that is given."""
    (path,) = sys.argv[1:]
    Path(path).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
