"""Charts of the loss as a landscape, as SVG text."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_cnn.host.charts import FIRST, INK, SECOND, SOFT, WIDTH_INCHES, drawing, svg_text
from edge_cnn.host.landscape.line import LineBetween
from edge_cnn.host.landscape.surface import LossSurface

LEVELS = 14

_LOWEST = 1e-6
"""Losses below it are drawn here, as a logarithm has no place for 0."""


def _heights(surface: LossSurface) -> Any:
    """Logarithms of the losses, with what is not finite at the top; and the levels between lowest and highest."""
    finite = surface.losses[np.isfinite(surface.losses)]
    top, bottom = (max(float(end), _LOWEST) for end in (finite.max(), finite.min()))
    heights = np.log10(np.clip(np.where(np.isfinite(surface.losses), surface.losses, top), bottom, top))
    return heights, np.linspace(np.log10(bottom), max(np.log10(top), np.log10(bottom) + 1e-6), LEVELS + 1)


def _plain(loss: float) -> str:
    """Two digits, and never a power of ten above the point."""
    return f"{loss:.2g}" if loss < 99.5 else f"{loss:,.0f}"


def _colours() -> Any:
    """From the valley to the heights."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("heights", ["#12395f", FIRST, "#a9c7e6", "#f5efe2", "#f0b45f", "#b45309"])


def surface_map(surface: LossSurface, unit: str) -> str:
    """The loss from above, lines of equal loss on a logarithmic scale, the network itself marked; SVG text."""
    heights, levels = _heights(surface)
    with drawing(WIDTH_INCHES, 4.0) as figure:
        axes = figure.subplots()
        filled = axes.contourf(surface.xs, surface.ys, heights, levels=levels, cmap=_colours())
        axes.contour(surface.xs, surface.ys, heights, levels=levels, colors="white", linewidths=0.4)
        axes.plot([0], [0], marker="o", markersize=7, color="white", markeredgecolor=INK, markeredgewidth=1.2)
        white = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        axes.annotate("this network", (0, 0), (8, 8), textcoords="offset points", bbox=white)
        ticks = [surface.xs[0], 0, surface.xs[-1]]
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
        axes.set_aspect("equal")
        axes.grid(visible=False)
        axes.set_xlabel("first direction (lengths of the filters)")
        axes.set_ylabel("second direction")
        bar = figure.colorbar(filled, ax=axes, shrink=0.75, format=lambda height, _: _plain(10**height))
        bar.set_label(f"loss ({unit})", color=SOFT)
        bar.outline.set_visible(False)
        return svg_text(figure, "Loss around the network, from above")


def surface_relief(surface: LossSurface, unit: str) -> str:
    """The same as a relief seen from the side; SVG text."""
    heights, levels = _heights(surface)
    with drawing(WIDTH_INCHES, 4.0) as figure:
        axes = figure.add_subplot(projection="3d")
        x, y = np.meshgrid(surface.xs, surface.ys)
        axes.plot_surface(x, y, heights, cmap=_colours(), rcount=41, ccount=41, linewidth=0.15, edgecolor="white")
        ticks = np.linspace(levels[0], levels[-1], 4)
        axes.set_zticks(ticks, [_plain(10**tick) for tick in ticks])
        axes.set_title(f"loss ({unit})", color=SOFT)
        axes.set_xticks([surface.xs[0], 0, surface.xs[-1]])
        axes.set_yticks([surface.ys[0], 0, surface.ys[-1]])
        axes.view_init(elev=38, azim=-55)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.pane.set_visible(False)
        return svg_text(figure, "Loss around the network, as a relief")


def line_chart(line: LineBetween, unit: str) -> str:
    """Loss on the line between two minima, and below it the error where there are right answers; SVG text."""
    answers = bool(np.isfinite(line.accuracies).all())
    with drawing(WIDTH_INCHES, 4.0 if answers else 2.4) as figure:
        axes = figure.subplots(2 if answers else 1, 1, sharex=True, squeeze=False)[:, 0]
        straight = (1 - line.alphas) * line.losses[0] + line.alphas * line.losses[-1]
        axes[0].plot(line.alphas, straight, color=SOFT, linewidth=0.8, linestyle="--")
        axes[0].plot(line.alphas, line.losses, color=FIRST)
        axes[0].fill_between(
            line.alphas, straight, line.losses, where=line.losses > straight, color=FIRST, alpha=0.12, linewidth=0
        )
        axes[0].plot([0, 1], line.losses[[0, -1]], "o", color=FIRST, markersize=5)
        axes[0].set_title(f"loss ({unit}); barrier {line.barrier:.2g}", color=SOFT)
        axes[0].set_ylim(bottom=0)
        if answers:
            axes[1].plot(line.alphas, 1 - line.accuracies, color=SECOND)
            axes[1].plot([0, 1], 1 - line.accuracies[[0, -1]], "o", color=SECOND, markersize=5)
            axes[1].set_title("error (share of wrong answers)", color=SOFT)
            axes[1].set_ylim(bottom=0)
        axes[-1].set_xticks([0, 0.5, 1], ["first minimum", "half way", "second minimum"])
        return svg_text(figure, "Loss on the line between two minima")
