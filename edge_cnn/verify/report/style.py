"""The style sheet of the matrix and its cells."""

from __future__ import annotations

STYLE = """
h3 { font-size: .9rem; margin: 0 0 .25rem; }
.wide { overflow-x: auto; margin: 1rem 0 .5rem; overflow-wrap: normal; }
table.matrix { border-collapse: separate; border-spacing: 3px; margin: 0 -3px; }
.matrix th { font-weight: 600; font-size: .85rem; text-align: left; vertical-align: bottom; padding: .25rem .5rem;
  max-width: 11rem; overflow-wrap: anywhere; }
.matrix tbody th { vertical-align: middle; position: sticky; left: 0; background: var(--paper); max-width: none;
  white-space: nowrap; padding-left: 0; }
.matrix td { padding: 0; min-width: 6.5rem; border-radius: .35rem; background: var(--card); vertical-align: middle; }
.matrix thead td { background: none; } .matrix td.none { text-align: center; color: var(--soft); }
.matrix td.pass { background: var(--good-wash); } .matrix td.fail { background: var(--bad-wash); }
.matrix td.lost { background: var(--odd-wash); }
.matrix a { display: block; padding: .35rem .6rem; white-space: nowrap; text-decoration: none; color: inherit;
  border-radius: .35rem; }
.matrix a:hover, .matrix a:focus-visible { outline: 2px solid var(--bar); }
.matrix small { display: block; color: var(--soft); white-space: nowrap; }
.chip { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .4rem; font-size: .75rem; color: var(--soft); }
details.cell { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; background: var(--card); }
details.cell.failed { border-color: var(--bad); } details.cell.lost { border-color: var(--odd); }
summary { padding: .6rem .8rem; cursor: pointer; }
summary b { margin-right: .35rem; }
.inside { padding: 0 .8rem .8rem; display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); scroll-margin-top: 4rem; }
.across { grid-column: 1 / -1; }
.scale { display: flex; gap: 2px; font-size: .75rem; color: var(--soft); }
.scale span { flex: 1 1 0; text-align: center; white-space: nowrap; }
.scale.ends { justify-content: space-between; } .scale.ends span { flex: 0 0 auto; }
.chart { margin: 0 0 1rem; }
.shares { display: flex; height: .8rem; border-radius: .4rem; overflow: hidden; margin: .25rem 0; }
.shares i { background: var(--bar); } .shares i:nth-child(2) { background: var(--bar-2); }
.shares i:nth-child(n+3) { background: var(--bar-3); }
.flips { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); margin: .4rem 0 0; }
figure { margin: 0; font-size: .85rem; line-height: 1.35; }
figure img { width: 100%; max-width: 7.5rem; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  background: var(--line); border-radius: .25rem; display: block; margin-bottom: .25rem; }
ul.changes { margin: .25rem 0; padding-left: 1.2rem; }
code { font-size: .85em; }
"""
