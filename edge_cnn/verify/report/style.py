"""The page's style sheet: light and dark, from a phone's width to a desk's."""

from __future__ import annotations

STYLE = """
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
h3 { font-size: .9rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); font-size: .9rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.odd { color: var(--odd); font-weight: 600; }
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
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.bars { display: flex; align-items: flex-end; gap: 2px; height: 6rem; padding: 0;
  border-bottom: 1px solid var(--line); }
.bar { flex: 1 1 0; min-width: 2px; background: var(--bar); }
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
