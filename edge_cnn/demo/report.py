"""The demo as one self-contained page: pictures first, numbers after."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

import edge_cnn
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.demo.device_story import Tuned
from edge_cnn.demo.walk import TARGETS, Demo

CHANGED_IMAGES = 24


def render_report(demo: Demo) -> str:
    """HTML without a single address of another file."""
    from jinja2 import Environment, StrictUndefined

    from edge_cnn.host.charts import training_curve

    template = resources.files("edge_cnn.demo").joinpath("templates/report.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(
        architecture="lenet",
        train_count=f"{demo.train_count:,}",
        targets=" and ".join(TARGETS),
        facts=demo.device.facts,
        cards=_cards(demo),
        training_curve=training_curve(demo.training.history),
        tuned=[_tuned(story, demo) for story in demo.story.tuned],
        away_count=f"{len(demo.away):,}",
        tune_count=demo.tune_count,
        histograms=_histograms(demo),
        parity=[_parity_row(row) for row in demo.story.parity],
        sizes=_sizes(demo),
        seed=demo.training.config.seed,
        sources="; ".join(demo.sources),
        version=edge_cnn.__version__,
    )


def _cards(demo: Demo) -> list[dict[str, str]]:
    manifest = demo.bundle.manifest
    cards = [{"value": _percent(manifest.host_accuracy), "label": f"float, {len(demo.home):,} held-out digits"}]
    cards += [
        {"value": _percent(entry.host_accuracy), "label": f"int8, {entry.name}"}
        for entry in manifest.artifacts
        if entry.scheme == "int8"
    ]
    for story in demo.story.tuned:
        cards.append(
            {
                "value": f"{_percent(story.away_before)} → {_percent(story.away_after)}",
                "label": f"other writers, after tuning {story.name} on the device",
            }
        )
    passed = sum(row["passed"] for row in demo.story.parity)
    cards.append({"value": f"{passed} of {len(demo.story.parity)}", "label": "files agree between host and device"})
    return cards


def _tuned(story: Tuned, demo: Demo) -> dict[str, Any]:
    from edge_cnn.host.charts import confusion_matrix
    from edge_cnn.host.evaluation import confusion_counts

    away, labels = demo.away, demo.bundle.manifest.labels
    before = confusion_counts(away.labels, story.answers_before, len(labels))
    after = confusion_counts(away.labels, story.answers_after, len(labels))
    return {
        "name": story.name,
        "away_before": _percent(story.away_before),
        "away_after": _percent(story.away_after),
        "home_before": _percent(story.home_before),
        "home_after": _percent(story.home_after),
        "bytes": f"{story.bytes_after:,}",
        "confusion_before": confusion_matrix(before, labels),
        "confusion_after": confusion_matrix(after, labels),
        "changed": _changed_images(story, away),
    }


def _changed_images(story: Tuned, away: LabelledImages) -> Any:
    """Images that changed their answer: those that became wrong first, since a reader looks for these."""
    from edge_cnn.host.charts import image_grid

    before, after, truth = story.answers_before, story.answers_after, away.labels
    changed = np.flatnonzero(before != after)
    became_wrong = changed[(before[changed] == truth[changed])]
    others = np.setdiff1d(changed, became_wrong)
    rows = np.concatenate([became_wrong[: CHANGED_IMAGES // 3], others])[:CHANGED_IMAGES]
    if not len(rows):
        return ""
    names = away.class_names
    captions = [f"{names[before[i]]} → {names[after[i]]} ({names[truth[i]]})" for i in rows]
    return image_grid(away.images[rows], captions)


def _histograms(demo: Demo) -> list[dict[str, Any]]:
    from edge_cnn.host.charts import histogram

    charts: list[dict[str, Any]] = []
    for row in demo.story.parity:
        difference = row["parity"]["logits"] or row["parity"]["outputs"]
        if not difference["histogram"]:
            continue
        counts = {int(lsb): int(count) for lsb, count in difference["histogram"].items()}
        title = f"{row['file']}: {row['artifact']}"
        caption = f"{title} on {row['runtime']} ({row['kernels']}): {row['reason']}."
        charts.append({"svg": histogram(counts, title=title, x_label="device - host, LSB"), "caption": caption})
    return charts


def _parity_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "file": row["file"],
        "artifact": row["artifact"],
        "runtime": row["runtime"],
        "kernels": row["kernels"],
        "max_lsb": "-" if row["max_lsb"] is None else row["max_lsb"],
        "agreement": _percent(row["top1_agreement"]),
        "host": _percent(row["host_accuracy"]),
        "device": _percent(row["device_accuracy"]),
        "passed": row["passed"],
        "reason": row["reason"],
    }


def _sizes(demo: Demo) -> list[dict[str, str]]:
    latency = {row["artifact"]: row for row in demo.story.latency}
    rows: list[dict[str, str]] = []
    for entry, artifact in zip(demo.bundle.manifest.artifacts, demo.bundle.artifacts, strict=True):
        measured = latency[entry.name]
        rows.append(
            {
                "name": entry.name,
                "scheme": entry.scheme,
                "targets": ", ".join(entry.targets),
                "bytes": f"{len(artifact.data):,}",
                "accuracy": _percent(entry.host_accuracy),
                "cold": f"{measured['cold_start_ms']:.0f} ms",
                "p50": f"{measured['p50']:.0f} µs",
                "p99": f"{measured['p99']:.0f} µs",
                "memory": f"{measured['peak_memory_mb']:.0f} MB",
            }
        )
    return rows


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
