"""Charts as SVG text to stand inside an HTML page; drawn without a display, the same bytes for the same numbers."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import UnavailableError
from edge_cnn.host.log_axis import log_axis, round_values

if TYPE_CHECKING:
    from edge_cnn.host.training.records import EpochRecord

INK, SOFT, LINE = "#1d2730", "#5b6b78", "#dfe5ea"
FIRST, SECOND = "#2563a8", "#d97706"
"""Blue and orange, which people of every colour vision tell apart."""

WIDTH_INCHES = 4.6
"""The letters are readable where the chart is as narrow as a phone's screen."""

ROUNDING = 1e-6
"""An accuracy is a mean in float32: less than this from 1, it is 1."""

MAX_NAMED_CLASSES = 25
"""With more classes a confusion matrix is drawn without names and counts, which nobody could read."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-cnn",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def training_curve(history: Sequence[EpochRecord], unit: str = "nats") -> str:
    """Loss in `unit` and error by epoch, of training, validation and a watched test part; SVG text."""
    epochs = [record.epoch for record in history]
    tested = [(r.epoch, r.test_loss) for r in history if r.test_loss is not None]
    with drawing(WIDTH_INCHES, 4.4) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes, name, title in (
            (upper, "loss", f"loss ({unit})"),
            (lower, "accuracy", "error (share of wrong answers)"),
        ):
            curves: list[Any] = []
            for key, colour, label in ((name, FIRST, "training"), (f"val_{name}", SECOND, "validation")):
                values = np.array([getattr(record, key) for record in history])
                # Errors, not accuracies, on a logarithmic axis: 98 to 99 per cent is as much as 80 to 90.
                curves.append((epochs, values if name == "loss" else error_of(values), colour, label, 1.6))
            if name == "loss" and tested:
                curves.append((*map(list, zip(*tested, strict=True)), INK, "test", 1))
            _draw_on_log_axis(axes, curves)
            axes.set_title(title, color=SOFT)
        lower.set_xlabel("epoch")
        lower.xaxis.get_major_locator().set_params(integer=True)
        upper.legend(loc="upper right")
        return svg_text(figure, "Loss and error by epoch")


def error_of(accuracies: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
    """Shares of wrong answers (n,); what rounding leaves of none is 0."""
    errors = 1 - np.asarray(accuracies, np.float64)
    return np.where(errors < ROUNDING, 0.0, errors)


def _draw_on_log_axis(axes: Any, curves: Sequence[tuple[Any, Any, str, str, float]]) -> None:
    """Curves of (x, y, colour, label, width), with zeros at the lower edge."""
    axis = log_axis(np.concatenate([np.asarray(y, np.float64) for _, y, *_ in curves]))
    for x, y, colour, label, width in curves:
        dots = "o" if len(x) < 3 else ""
        axes.plot(x, axis.placed(y), color=colour, label=label, linewidth=width, marker=dots, markersize=3)
    axes.set_yscale("log")
    axes.set_ylim(axis.low, axis.high)
    _label_y(axes, axis.ticks(_most_labels(axes)))


def plain_ticks(axes: Any) -> None:
    """0.02 rather than 2 x 10^-2, and as many as have room; after all that is drawn on these logarithmic axes."""
    low, high = axes.get_ylim()
    _label_y(axes, {value: f"{value:g}" for value in round_values(low, high, _most_labels(axes))})


def _most_labels(axes: Any) -> int:
    """So many have room one above the other: a third of the height goes to titles."""
    rows = axes.get_subplotspec().get_gridspec().nrows
    return max(3, int(axes.figure.get_figheight() / rows * 72 * 0.67 / 12))


def _label_y(axes: Any, ticks: Mapping[float, str]) -> None:
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_yticks([], minor=True)


def confusion_matrix(matrix: NDArray[np.integer[Any]], labels: Sequence[str]) -> str:
    """How often each class was taken for each other; SVG text.

    Args:
        matrix: integers (classes, classes); rows are the truth, columns the answer.
        labels: class names.
    """
    matrix = np.asarray(matrix)
    classes = len(labels)
    # Mistakes are few beside right answers: shade by the share of the row, under a root so that one in a hundred shows.
    shades = np.sqrt(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))
    right = np.eye(classes, dtype=bool)
    with drawing(WIDTH_INCHES, WIDTH_INCHES) as figure:
        axes = figure.subplots()
        for shown, colour in ((right, FIRST), (~right, SECOND)):
            cells = np.ma.masked_array(shades, ~shown)
            axes.imshow(cells, cmap=_white_to(colour), vmin=0, vmax=1, aspect="equal")
        axes.grid(visible=False)
        axes.set_xlabel("answer")
        axes.set_ylabel("truth")
        for spine in axes.spines.values():
            spine.set_visible(False)
        if classes <= MAX_NAMED_CLASSES:
            long = max(len(label) for label in labels) > 2
            axes.set_xticks(range(classes), labels, rotation=90 if long else 0)
            axes.set_yticks(range(classes), labels)
            for row, column in np.argwhere(matrix > 0).tolist():
                colour = "white" if shades[row, column] > 0.6 else INK
                size = 8 if classes <= 12 else 5
                axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=size)
        return svg_text(figure, "Confusion matrix")


def _white_to(colour: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(colour, ["white", colour])


def histogram(counts: Mapping[int, int], *, title: str = "", x_label: str = "") -> str:
    """How often each integer occurs, on a logarithmic axis so that single cases show; SVG text.

    Args:
        counts: value -> how often; values between the smallest and the largest may be missing.
        title: above the chart.
        x_label: what the integers are.
    """
    with drawing(WIDTH_INCHES, 2.4) as figure:
        from matplotlib.ticker import StrMethodFormatter

        axes = figure.subplots()
        values = sorted(counts) or [0]
        axes.bar(values, [counts.get(value, 0) for value in values], width=0.85, color=FIRST)
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.set_ylim(bottom=0)
        axes.set_xlim(min(values[0], -1) - 0.6, max(values[-1], 1) + 0.6)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(x_label)
        axes.set_ylabel("count")
        axes.set_title(title)
        return svg_text(figure, title or "Histogram")


def image_grid(images: NDArray[np.uint8], captions: Sequence[str]) -> str:
    """Small images with a line below each, in as many columns as fit; HTML text.

    Args:
        images: uint8 (n, height, width, channels), channels 1 or 3.
        captions: one an image, plain text.
    """
    cells = "".join(
        '<figure style="margin:0;text-align:center">'
        f'<img src="{png_address(pixels)}" alt="{escape(caption)}" '
        f'style="width:100%;height:auto;image-rendering:pixelated;border:1px solid {LINE};border-radius:4px">'
        f'<figcaption style="font-size:.8rem;color:{SOFT}">{escape(caption)}</figcaption></figure>'
        for pixels, caption in zip(images, captions, strict=True)
    )
    columns = "repeat(auto-fill,minmax(4.5rem,1fr))"
    return f'<div style="display:grid;grid-template-columns:{columns};gap:.6rem">{cells}</div>'


def png_address(pixels: NDArray[np.uint8]) -> str:
    """uint8 (height, width, 1 or 3) -> a `data:` address that holds the image as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@contextmanager
def drawing(width: float, height: float) -> Iterator[Any]:
    """A figure of `width` x `height` inches in the house's look; touches no global state of matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnavailableError(f"charts need matplotlib ({error}); pip install 'edge-cnn[host]'") from error
    with rc_context(_STYLE):  # pyright: ignore[reportArgumentType]  # the stubs spell out every key
        yield Figure(figsize=(width, height), layout="constrained")


def svg_text(figure: Any, title: str) -> str:
    """The figure as an `<svg>` element that fills the width it is given."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Letters stay letters in the file, and a browser has fonts for all of them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # A page may hold several charts, and matplotlib numbers the groups of each from 1: keep the names in use only.
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", text)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    opening = f'<svg role="img" aria-label="{escape(title)}" style="width:100%;height:auto" '
    return re.sub(r'^<svg (width|height)="[^"]+" (width|height)="[^"]+"', "<svg", text, count=1).replace(
        "<svg ", opening, 1
    )
