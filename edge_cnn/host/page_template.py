"""Pages from templates: one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from edge_cnn.core.errors import UnavailableError

BASE = "base.html"
"""Head and style of every page, which a template extends."""


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
        from jinja2 import DictLoader, Environment, StrictUndefined
    except ImportError as error:
        raise UnavailableError(f"the report needs Jinja2 ({error}); pip install 'edge-cnn[host]'") from error
    pages = {BASE: _read("edge_cnn.host", BASE), template: _read(package, template)}
    environment = Environment(
        loader=DictLoader(pages), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(template)


def _read(package: str, name: str) -> str:
    return (files(package) / "templates" / name).read_text(encoding="utf-8")
