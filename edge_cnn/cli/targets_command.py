"""`edge-cnn targets`: the table of targets with formats, schemes and constraints."""

from __future__ import annotations

import click

from converters.constraints.table import constraints_of
from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.core.targets import TARGETS


@click.command()
@common_options
def command(console: Console) -> None:
    """List the targets with formats, schemes, runtimes and constraints."""
    documents = [
        {
            "name": target.name,
            "description": target.description,
            "format": target.format,
            "schemes": list(target.schemes),
            "default_scheme": target.default_scheme,
            "runtimes": list(target.runtimes),
            "constraints": {
                scheme: [{"name": c.name, "rule": c.message} for c in constraints_of(target, scheme)]
                for scheme in target.schemes
            },
        }
        for target in TARGETS.values()
    ]
    rows = [[t.name, t.format, ", ".join(t.schemes), ", ".join(t.runtimes), t.description] for t in TARGETS.values()]
    console.result({"targets": documents}, table(["target", "format", "schemes", "runtimes", "what"], rows) + _rules())


def _rules() -> str:
    """Each constraint once, with the targets and schemes that it holds for."""
    users: dict[str, list[str]] = {}
    for target in TARGETS.values():
        for scheme in target.schemes:
            for constraint in constraints_of(target, scheme):
                users.setdefault(constraint.message, []).append(f"{target.name} ({scheme})")
    lines = [f"  {message}\n    for {', '.join(names)}" for message, names in users.items()]
    return "\n\nconstraints, checked at export; the first scheme is the default\n" + "\n".join(lines)
