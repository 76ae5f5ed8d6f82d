"""The page of an explanation: verdict, layers with their noise and damage, channels of the worst ones, the fix."""

from __future__ import annotations

import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from converters.explanation.explanation import ExplainedLayer, Explanation, Fix
from edge_cnn.verify.report.document import html_document

_STRIPS = 4
_MOST_CHANNELS = 96
_FULL_DB = 50.0
"""Signal to noise at which a bar is full; 8 bits reach no more."""

_STYLE = """
.wide { overflow-x: auto; overflow-wrap: normal; }
table.layers { border-collapse: collapse; font-size: .9rem; min-width: 100%; }
.layers td.name { min-width: 11rem; max-width: 24rem; overflow-wrap: anywhere; } .layers td.words { min-width: 9rem; }
.layers td.kind { white-space: nowrap; }
.layers th, .layers td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
.layers td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.layers th.n { text-align: right; }
.meter { width: 8rem; min-width: 5rem; height: .7rem; border-radius: .35rem; background: var(--card);
  overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--bar); } .meter.damage i { background: var(--bad); }
tr.faulty { background: var(--bad-wash); }
.strip { display: flex; align-items: stretch; gap: 1px; height: 4.5rem; background: var(--card); }
.strip div { flex: 1 1 0; min-width: 2px; position: relative; }
.strip i { position: absolute; left: 0; right: 0; background: var(--bar); min-height: 1px; }
.strip.weights i { background: var(--bar-2); }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; margin: .6rem 0; }
h3 { font-size: 1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
"""


def explanation_html(found: Explanation, name: str, reference: str) -> str:
    """The document.

    Args:
        found: what to show.
        name: of the quantized file.
        reference: name of the float one.
    """
    worst = found.told[:_STRIPS] or found.layers[:1]
    cards = "".join(_card(layer) for layer in worst)
    body = (
        f"{_verdict(found, reference)}\n"
        f"<section><h2>Layers, worst first</h2>{_table(found)}</section>\n"
        f"<section><h2>Channels</h2>{cards}</section>\n"
        f"{'' if found.fix is None else f'<section><h2>Fix</h2>{_fix(found.fix)}</section>'}\n"
    )
    return html_document(f"Explanation: {name}", _STYLE, body)


def _verdict(found: Explanation, reference: str) -> str:
    drop = found.float_accuracy - found.quantized_accuracy
    lines = [
        f"{escape(reference)} gets {found.float_accuracy:.2%} of {found.test_samples} test samples right, this file "
        f"{found.quantized_accuracy:.2%}: a drop of <b>{drop:.2%}</b>. "
        f"Both give the same answer to {found.agreement:.2%}."
    ]
    if found.faulty:
        layer = found.faulty[0]
        lines.append(
            f'<span class="bad">{escape(layer.facts.short_name)}: {escape(layer.cause)}.</span> '
            f"{escape(layer.findings[0].sentence)}: {escape(layer.findings[0].evidence)}."
        )
    else:
        lines.append('<span class="good">Every layer is at the noise floor of its codes: nothing is wrong.</span>')
    if found.equalized:
        lines.append("The file's channels are scaled against each other; the reference was scaled likewise.")
    return "".join(f"<p>{line}</p>" for line in lines)


def _table(found: Explanation) -> str:
    header = (
        '<tr><th>layer</th><th>cause</th><th>kind</th><th colspan="2">SQNR in the file</th>'
        '<th colspan="2">answers changed alone</th>'
        '<th class="n">drop alone</th><th class="n">codes used</th><th class="n">cut off</th></tr>'
    )
    rows = "".join(_row(layer) for layer in found.layers)
    return (
        f'<div class="wide"><table class="layers">{header}{rows}</table></div>'
        f'<p class="soft">On {found.samples} samples. SQNR: signal to quantization noise of the layer\'s output in the '
        "running file, all noise from before included; 6 dB are a bit. Alone: only this layer in codes, everything "
        f"else in float. Layers were told by {'name' if found.by_name else 'weights and order'}.</p>"
    )


def _row(layer: ExplainedLayer) -> str:
    facts = layer.facts
    use = "-" if facts.range_use is None else f"{facts.range_use:.0%}"
    return (
        f'<tr{" class=faulty" if layer.findings else ""}><td class="name" title="{escape(facts.name, quote=True)}">'
        f'{_breakable(facts.short_name)}</td><td class="words">{escape(layer.cause)}</td>'
        f'<td class="kind">{escape(facts.op)}</td>'
        f'<td>{_meter(facts.sqnr_db / _FULL_DB, "")}</td><td class="n">{_db(facts.sqnr_db)}</td>'
        f'<td>{_meter(facts.damage.flips, " damage")}</td><td class="n">{facts.damage.flips:.1%}</td>'
        f'<td class="n">{facts.damage.drop:+.1%}</td><td class="n">{use}</td>'
        f'<td class="n">{facts.saturation:.2%}</td></tr>'
    )


def _card(layer: ExplainedLayer) -> str:
    facts = layer.facts
    words = "".join(
        f"<p><b>{escape(f.name)}</b>: {escape(f.sentence)}: {escape(f.evidence)}.</p>" for f in layer.findings
    )
    low, high = np.minimum(facts.alone.low, 0.0), np.maximum(facts.alone.high, 0.0)
    strips = _strip(low, high, "", f"Range of each of {len(low)} channels of the output, on the reference")
    if facts.codes is not None:
        strips += f'<p class="soft">Codes for {facts.codes.low:.4g}..{facts.codes.high:.4g}.</p>'
    if facts.weight_widths is not None:
        widths = facts.weight_widths
        strips += _strip(-widths, widths, " weights", f"Largest weight of each of {len(widths)} output channels")
    return f'<div class="card"><h3>{escape(facts.short_name)} ({escape(facts.op)})</h3>{words}{strips}</div>'


def _strip(low: NDArray[np.float64], high: NDArray[np.float64], kind: str, caption: str) -> str:
    """A bar a channel from its low to its high end, all on one scale."""
    low, high = low[:_MOST_CHANNELS], high[:_MOST_CHANNELS]
    bottom, top = float(low.min()), float(high.max())
    span = max(top - bottom, 1e-30)
    bars = "".join(
        f'<div title="channel {i}: {a:.4g}..{b:.4g}"><i style="bottom:{100 * (a - bottom) / span:.1f}%;'
        f'height:{100 * (b - a) / span:.1f}%"></i></div>'
        for i, (a, b) in enumerate(zip(low, high, strict=True))
    )
    shown = f"{caption}, {bottom:.4g}..{top:.4g}."
    return (
        f'<div class="strip{kind}" role="img" aria-label="{escape(shown, quote=True)}">{bars}</div>'
        f'<p class="soft">{escape(shown)}</p>'
    )


def _fix(fix: Fix) -> str:
    words = "".join(f"<li>{escape(line)}</li>" for line in fix.words)
    rows = "".join(
        f'<tr><td class="name">{escape(tried.mix.describe())}</td><td class="n">{tried.drop:+.2%}</td>'
        f'<td class="n">{tried.size}</td><td class="n">{tried.float_share:.0%}</td></tr>'
        for tried in fix.tries
    )
    table = (
        '<div class="wide"><table class="layers"><tr><th>tried</th><th class="n">drop, held out</th>'
        f'<th class="n">bytes</th><th class="n">in float</th></tr>{rows}</table></div>'
        if rows
        else ""
    )
    return (
        f"<ul>{words}</ul><p>Drop <b>{fix.drop_before:.2%}</b> before, <b>{fix.drop_after:.2%}</b> after, "
        f"on the test part.</p>{table}"
    )


def _breakable(name: str) -> str:
    """A name of parts with slashes between, which a narrow column breaks there first."""
    return escape(name).replace("/", "/<wbr>")


def _meter(share: float, kind: str) -> str:
    full = 1.0 if math.isinf(share) and share > 0 else min(max(share, 0.0), 1.0)
    return f'<div class="meter{kind}"><i style="width:{100 * full:.0f}%"></i></div>'


def _db(value: float) -> str:
    return "exact" if math.isinf(value) and value > 0 else f"{value:.1f} dB"
