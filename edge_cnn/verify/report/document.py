"""The frame that all pages share: one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6472; --line: #d5dae1; --paper: #fff; --card: #f6f7f9;
  --good: #12703c; --good-wash: #e3f3e9; --bad: #b3261e; --bad-wash: #fbe4e2; --odd: #8a5a00; --odd-wash: #fbf0d9;
  --bar: #3567b8; --bar-2: #c2700f; --bar-3: #7a8594; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #a3acba; --line: #3a4250; --paper: #14181f;
  --card: #1d232c; --good: #6fd49b; --good-wash: #173325; --bad: #ff8a80; --bad-wash: #42201f; --odd: #f0c36a;
  --odd-wash: #3a2f17; --bar: #86aef0; --bar-2: #f0a95c; --bar-3: #8d97a6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); font-size: .9rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.odd { color: var(--odd); font-weight: 600; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.bars { display: flex; align-items: flex-end; gap: 2px; height: 6rem; padding: 0;
  border-bottom: 1px solid var(--line); }
.bar { flex: 1 1 0; min-width: 2px; background: var(--bar); }
"""
"""Light and dark, from a phone's width to a desk's."""


def html_document(title: str, style: str, body: str) -> str:
    """The document.

    Args:
        title: plain text; the heading as well.
        style: CSS of this page, over what all pages share.
        body: HTML behind the heading.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"
    )
