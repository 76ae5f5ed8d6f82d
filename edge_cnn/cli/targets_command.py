"""`edge-cnn targets`: the table of targets with formats, schemes and constraints."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from converters.constraints.table import constraints_of
from converters.schemes.table import schemes_of
from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.core.artifact import ONNX
from edge_cnn.core.targets import TARGETS, Target, find_target


@click.command()
@click.argument("name", required=False)
@common_options
def command(console: Console, name: str | None) -> None:
    """List the targets with formats, schemes and runtimes, or show all of the target NAME with its constraints."""
    if name is not None:
        target = find_target(name)
        console.result(_document(target), _whole(target))
        return
    rows = [[t.name, t.format, ", ".join(t.schemes), ", ".join(t.runtimes), t.description] for t in TARGETS.values()]
    text = table(["target", "format", "schemes", "runtimes", "what"], rows)
    more = "the first scheme is the default; 'edge-cnn targets NAME' shows a target with its constraints"
    console.result({"targets": [_document(target) for target in TARGETS.values()]}, f"{text}\n\n{more}")


def _document(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "description": target.description,
        "format": target.format,
        "schemes": list(target.schemes),
        "default_scheme": target.default_scheme,
        "runtimes": list(target.runtimes),
        "rules": list(target.rules),
        "activations": target.activations if target.format == ONNX else None,
        "memory": None if target.memory is None else dataclasses.asdict(target.memory),
        "runtime_options": dict(target.runtime_options),
        "compiler": target.compiler,
        "compiler_options": list(target.compiler_options),
        "note": target.note,
        "constraints": {
            scheme: [{"name": c.name, "rule": c.message} for c in constraints_of(target, scheme)]
            for scheme in target.schemes
        },
    }


def _whole(target: Target) -> str:
    options = {
        name: value if isinstance(value, int | str) else ", ".join(value)
        for name, value in target.runtime_options.items()
    }
    lines = [
        f"{target.name}: {target.description}",
        f"format      .{target.format}",
        f"schemes     {', '.join(schemes_of(target))}",
        f"runtimes    {', '.join(target.runtimes)}",
        *(f"{name:<11} {value}" for name, value in options.items()),
    ]
    if target.memory is not None:
        lines.append(f"memory      {target.memory.flash:,} bytes of flash, {target.memory.ram:,} bytes of RAM")
    if target.compiler:
        lines.append(f"compiler    {' '.join((target.compiler, *target.compiler_options))}")
    if target.note:
        lines.append(f"note        {target.note}")
    for scheme in target.schemes:
        lines.append(f"constraints of {scheme}, checked at export")
        lines += [f"  {constraint.message}" for constraint in constraints_of(target, scheme)]
    return "\n".join(lines)
