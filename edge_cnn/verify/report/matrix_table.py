"""The matrix on top of the page: artifacts x devices, each cell a link to its details."""

from __future__ import annotations

from html import escape

from edge_cnn.verify.matrix import FAILED, LOST, PASSED, Cell

_CLASSES = {PASSED: "pass", FAILED: "fail", LOST: "lost"}
_WORDS = {
    PASSED: '<span class="good">passed</span>',
    FAILED: '<span class="bad">failed</span>',
    LOST: '<span class="odd">lost</span>',
}


def matrix_table(rows: list[list[Cell]]) -> str:
    """The table; cells that never met are dashes."""
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{escape(cell.device)}</th>' for cell in rows[0])
    body = "".join(
        f'<tr><th scope="row">{escape(row[0].artifact)}</th>'
        f"{''.join(_cell(cell, anchor(i, j)) for j, cell in enumerate(row))}</tr>"
        for i, row in enumerate(rows)
    )
    return (
        f'<div class="wide"><table class="matrix"><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>'
        "</div>\n"
    )


def anchor(row: int, column: int) -> str:
    """The id of a cell's details."""
    return f"cell-{row + 1}-{column + 1}"


def _cell(cell: Cell, target: str) -> str:
    if cell.state not in _CLASSES:
        return '<td class="none" title="no runtime there for the format">&ndash;</td>'
    chip = f' <span class="chip">{escape(cell.group)}</span>' if cell.group else ""
    note = cell.difference or ("no answer" if cell.state == LOST else "did not run")
    return (
        f'<td class="{_CLASSES[cell.state]}"><a href="#{target}">{_WORDS[cell.state]}{chip}'
        f"<small>{escape(note)}</small></a></td>"
    )
