"""The page: verdict, matrix, baseline, and a section an artifact with a part that opens a device."""

from __future__ import annotations

from html import escape

from edge_cnn import __version__
from edge_cnn.core.bundle import Bundle
from edge_cnn.verify.baseline_change import SAME
from edge_cnn.verify.matrix import Cell, matrix
from edge_cnn.verify.report.cell_details import lost_details, result_details, skipped_line
from edge_cnn.verify.report.document import html_document
from edge_cnn.verify.report.flip_images import Samples, samples_of
from edge_cnn.verify.report.matrix_table import anchor, matrix_table
from edge_cnn.verify.report.style import STYLE
from edge_cnn.verify.verify_result import VerifyReport


def to_html(report: VerifyReport, bundle: Bundle | None = None) -> str:
    """The document.

    Args:
        report: what to show.
        bundle: that was verified, for class names and the images of flips; without it they are numbers.
    """
    rows = matrix(report)
    samples = samples_of(bundle) if bundle is not None else None
    sections = "".join(_section(i, row, report, samples) for i, row in enumerate(rows))
    body = (
        f"{_verdict(report)}\n"
        '<p class="soft">The golden samples in the bundle were run on each device; differences are device minus host. '
        "One LSB is one step of the quantized tensor. Accuracies stand with their 95&#8239;% confidence interval "
        f"(Wilson).</p>\n{matrix_table(rows)}{_key(rows)}{_changes(report)}{sections}"
        f'<p class="soft">edge_cnn {escape(__version__)}</p>'
    )
    return html_document(f"Host against device: {report.name}", STYLE, body)


def _verdict(report: VerifyReport) -> str:
    count, failed, lost, worse = len(report.results), len(report.failed), len(report.lost), len(report.regressions)
    lines: list[str] = []
    if failed:
        lines.append(f'<p class="bad">Failed: {failed} of {count} out of tolerance.</p>')
    if worse:
        lines.append(f'<p class="bad">Failed: {worse} of {len(report.changes)} worse than in the baseline.</p>')
    if lost:
        lines.append(f'<p class="odd">Lost: {lost} without an answer, since a device went away.</p>')
    return "".join(lines) or f'<p class="good">Passed: {count} of {count} within tolerance.</p>'


def _key(rows: list[list[Cell]]) -> str:
    if not any(cell.group for row in rows for cell in row):
        return ""
    return (
        '<p class="soft">Cells of a row with the same letter <span class="chip">a</span> computed the same bits. '
        "A cell leads to its details.</p>\n"
    )


def _changes(report: VerifyReport) -> str:
    if not report.changes:
        return ""
    same = sum(change.status == SAME for change in report.changes)
    items = "".join(
        f'<li><span class="{"bad" if c.is_regression else "soft"}">'
        f"{escape(f'{c.status}: {c.artifact} on {c.device} with {c.runtime}')}</span>: {escape(c.reason)}</li>"
        for c in report.changes
        if c.status != SAME
    )
    return (
        f"<h2>Against the baseline</h2><p>{same} of {len(report.changes)} with the same bits as then.</p>"
        f'<ul class="changes">{items}</ul>\n'
    )


def _section(index: int, row: list[Cell], report: VerifyReport, samples: Samples | None) -> str:
    name = row[0].artifact
    changes = {(c.artifact, c.device, c.runtime): c for c in report.changes}
    parts: list[str] = []
    for j, cell in enumerate(row):
        if cell.result is not None:
            r = cell.result
            change = changes.get((r.artifact, r.device, r.runtime))
            parts.append(result_details(r, anchor(index, j), samples, change))
    columns = {device: j for j, device in enumerate(report.devices())}
    parts += [lost_details(i, anchor(index, columns[i.device])) for i in report.lost if i.artifact == name]
    parts += [skipped_line(item) for item in report.skipped if item.artifact == name]
    return f"<h2>{escape(name)}</h2>{''.join(parts)}\n"
