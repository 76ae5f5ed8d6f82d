"""What an export came to, as one HTML file: figures of every file, layers, constraints, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.constraints.table import constraints_of
from converters.report.attempt import Attempt
from converters.report.export_charts import layer_bars, trade_off
from converters.report.export_record import ExportRecord
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.targets import find_target
from edge_cnn.host.page_template import render

TEMPLATE = "export_report.html"
_LONGEST_NAME = 28
_FIGURES, _SHOWN = 6, 12
"""A mapping of more plain values than the first is one line; a line shows so many values as the second."""


def export_page(bundle: Bundle, record: ExportRecord) -> str:
    """The page as text.

    Raises:
        UnavailableError: matplotlib or Jinja2 is not installed.
    """
    manifest = bundle.manifest
    kept = [attempt for attempt in record.attempts if attempt.kept]
    smallest = min(kept, key=lambda attempt: attempt.size)
    timed = all(attempt.latency_us is not None for attempt in kept)
    cards = [
        {"value": _percent(manifest.host_accuracy), "label": f"right: the float model, {record.test_samples} images"},
        {"value": _percent(smallest.accuracy), "label": f"right: {smallest.name}, the smallest file"},
        {"value": f"{smallest.size:,}", "label": f"bytes of {smallest.name}"},
    ]
    if timed:
        fastest = min(kept, key=lambda attempt: attempt.latency_us or 0.0)
        cards.append({"value": _micro(fastest.latency_us), "label": f"µs an image here: {fastest.name}"})
    return render(
        "converters.report",
        TEMPLATE,
        title=f"{manifest.provenance['model']} exported",
        summary=f"{len(kept)} file(s) for {', '.join(_targets(bundle))}; {len(manifest.labels)} classes: "
        f"{', '.join(manifest.labels[:12])}{' ...' if len(manifest.labels) > 12 else ''}.",
        cards=cards,
        by_size=trade_off(record.attempts, lambda attempt: attempt.size / 1000, "size (kB)"),
        by_latency=trade_off(record.attempts, lambda attempt: attempt.latency_us, "time of an image (µs)")
        if timed
        else "",
        float_accuracy=_percent(manifest.host_accuracy),
        attempts=[_row(number, attempt) for number, attempt in enumerate(record.attempts, 1)],
        points=f"{100 / record.test_samples:.2g}",
        searches=[
            {
                "name": search.artifact,
                "samples": search.samples,
                "chart": trade_off(search.attempts, lambda attempt: attempt.size / 1000, "size (kB)"),
                "rows": [_row(number, attempt) for number, attempt in enumerate(search.attempts, 1)],
                "chosen": search.chosen,
            }
            for search in record.searches
        ],
        layers=[
            {"name": name, "chart": layer_bars([_short(layer) for layer in found], list(found.values()))}
            for name, found in record.layers.items()
            if found
        ],
        constraints=_constraints(bundle),
        facts=[{"name": name, "value": value} for name, value in _facts(manifest.provenance).items()],
    )


def _row(number: int, attempt: Attempt) -> dict[str, str]:
    return {
        "number": str(number),
        "name": attempt.name,
        "scheme": attempt.scheme,
        "size": f"{attempt.size:,}",
        "accuracy": _percent(attempt.accuracy),
        "latency": _micro(attempt.latency_us),
    }


def _targets(bundle: Bundle) -> list[str]:
    return list(dict.fromkeys(name for entry in bundle.manifest.artifacts for name in entry.targets))


def _constraints(bundle: Bundle) -> list[dict[str, str]]:
    """Each rule once, with whom it is for."""
    users: dict[str, dict[str, None]] = {}
    for entry in bundle.manifest.artifacts:
        for name in entry.targets:
            for constraint in constraints_of(find_target(name), entry.scheme):
                users.setdefault(constraint.message, {})[f"{name} ({entry.scheme})"] = None
    return [{"targets": ", ".join(names), "rule": rule} for rule, names in users.items()]


def _facts(provenance: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Name -> value in words; what is nested is named by its path, and many figures of one kind share a line."""
    facts: dict[str, str] = {}
    for name, value in provenance.items():
        words = f"{prefix}{name}".replace("_", " ")
        if (
            isinstance(value, dict)
            and len(value) > _FIGURES
            and not any(isinstance(v, (dict, list)) for v in value.values())
        ):
            facts[words] = _listed([f"{key} {_plain(part)}" for key, part in value.items()])
        elif isinstance(value, dict):
            facts |= _facts(value, f"{words}, ")
        elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
            for part in value:
                facts |= _facts(part, f"{words}, {part.get('target', part.get('what', ''))}, ")
        elif isinstance(value, list):
            facts[words] = _listed([_plain(part) for part in value])
        elif value is not None:
            facts[words] = _plain(value)
    return facts


def _listed(values: list[str]) -> str:
    return ", ".join(values[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_plain(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short(name: str) -> str:
    """The last words of a layer's name; converters join the names of all that they fused with semicolons."""
    name = name.split(";")[0].removeprefix("StatefulPartitionedCall/")
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _micro(latency_us: float | None) -> str:
    return "-" if latency_us is None else f"{latency_us:,.0f}"
