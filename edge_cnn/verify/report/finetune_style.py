"""The style sheet of the page of a fine-tuning."""

from __future__ import annotations

STYLE = """
:root { --before: var(--bar-3); --after: var(--bar); --reach: var(--bar-2); --shade-most: .6; }
@media (prefers-color-scheme: dark) { :root { --shade-most: .5; } }
h3 { font-size: .95rem; margin: 0 0 .25rem; }
.verdict { border-left: .35rem solid var(--good); background: var(--good-wash); padding: .7rem .9rem;
  border-radius: .35rem; font-size: 1.1rem; margin: .75rem 0; }
.verdict.fell { border-color: var(--bad); background: var(--bad-wash); }
.verdict p + p { font-size: .95rem; }
.pair { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.pair > * { min-width: 0; }
figure { margin: 0; }
.plot { max-width: 35rem; } .plot svg { display: block; width: 100%; height: auto; }
.plot text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.plot text.chosen { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; }
line.chosen { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 4 3; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
polyline.training { stroke: var(--before); } polyline.heldout { stroke: var(--after); }
circle.training { fill: var(--before); } circle.heldout { fill: var(--after); }
circle.before, circle.after { stroke: var(--paper); stroke-width: 1.5; }
circle.before { fill: var(--before); } circle.after { fill: var(--good); }
rect.band { fill: var(--reach); opacity: .2; }
line.reach { stroke: var(--reach); stroke-width: 1.5; stroke-dasharray: 6 4; }
.keys { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .85rem; color: var(--soft); margin: .25rem 0; }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: 50%; }
.key i.training, .key i.before { background: var(--before); } .key i.heldout, .key i.after { background: var(--after); }
.key i.training, .key i.heldout { height: .2em; border-radius: 0; vertical-align: middle; }
.plot .key i.after { background: var(--good); } .key i.band { background: var(--reach); opacity: .5; border-radius: 0; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.passes td, .passes th { padding: .1rem .8rem .1rem 0; text-align: right; border-top: 1px solid var(--line); }
ul.whiskers { list-style: none; margin: .5rem 0; padding: 0; }
.whiskers li { display: grid; grid-template-columns: 17rem 1fr 17rem; gap: 0 1rem; align-items: center;
  border-top: 1px solid var(--line); }
.whiskers b { display: inline-block; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  vertical-align: bottom; }
.whiskers .soft { white-space: nowrap; }
.whiskers svg { display: block; width: 100%; height: 1.9rem; }
.whiskers path { fill: none; stroke-width: 3; vector-effect: non-scaling-stroke; }
.whiskers path.grid, .whiskers path.axis { stroke-width: 1; }
.whiskers path.dot { stroke-width: 10; stroke-linecap: round; }
path.before { stroke: var(--before); } path.after { stroke: var(--after); } path.reach { stroke: var(--reach); }
path.chance { stroke: var(--before); } path.won { stroke: var(--good); } path.lost { stroke: var(--bad); }
.whiskers .numbers { font-size: .9rem; font-variant-numeric: tabular-nums; text-align: right; }
.whiskers .scale { font-size: .75rem; color: var(--soft); }
.whiskers .scale .ticks { grid-column: 2; } .scale .ticks { position: relative; height: 1.2rem; display: block; }
.ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.flips { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); margin: .4rem 0 0; }
@media (max-width: 48rem) {
  .verdict { font-size: 1rem; } .plot text { font-size: 14px; }
  .whiskers li { display: flex; flex-wrap: wrap; justify-content: space-between; padding-top: .2rem; }
  .whiskers svg, .whiskers .scale .ticks { flex: 0 0 100%; order: 1; height: 1.4rem; } .whiskers .unit { order: 1; }
  .whiskers .name { max-width: 100%; font-size: .9rem; } .whiskers .numbers { font-size: .8rem; }
  .flips { grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); }
}
table.confusion { width: 100%; max-width: 36rem; table-layout: fixed; }
.confusion th { font-weight: 500; color: var(--soft); padding: .1rem; }
.confusion tbody th { text-align: right; padding-right: .4rem; line-height: 1.1; }
.confusion tbody th span { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;
  overflow: hidden; }
.upright thead th { vertical-align: bottom; } .upright thead th span { writing-mode: vertical-rl; max-height: 6.5rem;
  transform: rotate(180deg); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.confusion tbody td { position: relative; isolation: isolate; text-align: center; height: 1.75rem; padding: 0;
  border: 1px solid var(--paper); background: var(--card); overflow: hidden; overflow-wrap: normal; }
.confusion tbody td::before { content: ""; position: absolute; inset: 0; z-index: -1;
  opacity: calc(var(--shade, 0) * var(--shade-most)); }
.confusion .right::before { background: var(--bar); } .confusion .wrong::before { background: var(--bad); }
@media (max-width: 48rem) {
  table.confusion { font-size: .75rem; } .dense th { font-size: .65rem; }
  .dense tbody td { font-size: 0; height: 1rem; }
}
table.pairs { width: 100%; max-width: 44rem; }
.pairs td { padding: .25rem .5rem .25rem 0; border-top: 1px solid var(--line); vertical-align: middle; width: 50%; }
.count { display: flex; align-items: center; gap: .4rem; line-height: 1.2; padding-right: 2.5rem; }
.count span { flex: none; }
.count i { height: .6rem; min-width: 1px; flex: 0 0 auto; border-radius: .15rem; }
.count i.before { background: var(--before); } .count i.after { background: var(--after); }
.flips figure { font-size: .85rem; line-height: 1.35; } .flips .soft { font-size: .8rem; }
figure img { width: 100%; max-width: 7.5rem; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  background: var(--line); border-radius: .25rem; display: block; margin-bottom: .25rem; }
dl { gap: .1rem 1.5rem; } dd { text-align: left; } code { font-size: .9em; }
"""
