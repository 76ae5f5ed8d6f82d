"""Pages from templates: one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from functools import cache
from typing import Any

from edge_cnn.core.errors import UnavailableError

_SHARED = "edge_cnn.host"
"""Whose templates every page may extend and include: base.html has head and style."""


def render(package: str, template: str, **values: Any) -> str:
    """A page as text.

    Args:
        package: whose folder `templates` holds the template.
        template: its file name.
        values: what it shows; everything that is not marked safe is escaped.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    return _template(package, template).render(**values)


@cache
def _template(package: str, template: str) -> Any:
    """Parsed once: a page that shows how a training goes is written again and again."""
    try:
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise UnavailableError(f"the report needs Jinja2 ({error}); pip install 'edge-cnn[host]'") from error
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(template)
