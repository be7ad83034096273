--- papers.style: how papers look: on a screen by day and by night, on a phone, on paper. Nothing is loaded: the fonts are those of the reader.

local M = {}

--- The whole style sheet. It holds neither < nor &, so that it stands in XML as it is.
M.CSS = [[
:root {
  --paper: #fdfdfb; --raised: #f4f4ef; --ink: #1c1d1f; --soft: #5d6167; --rule: #dcdcd4;
  --green: #0b7a4b; --green-ground: #d7ecdf; --blue: #2a5db8; --blue-ground: #e3eaf7; --limit: #b3261e; --mark: #8a8f96;
  --good: #0b6b42; --bad: #b3261e; --back: #8a5a00; --open: #2a5db8;
}
@media (prefers-color-scheme: dark) { :root {
  --paper: #16181b; --raised: #1f2226; --ink: #e7e7e3; --soft: #a3a8ae; --rule: #34383d;
  --green: #58c48f; --green-ground: #1d3a2c; --blue: #86aef2; --blue-ground: #22304a; --limit: #f08a80; --mark: #7b8188;
  --good: #58c48f; --bad: #f08a80; --back: #e0b25c; --open: #86aef2;
} }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 58rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Noto Sans", "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
.kind { margin: 0; color: var(--soft); font-size: .8rem; letter-spacing: .09em; text-transform: uppercase; }
h1 { margin: .1rem 0 1.4rem; font-size: 2.1rem; font-weight: 650; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 2.8rem 0 .8rem; padding-bottom: .35rem; border-bottom: 1px solid var(--rule); font-size: 1.25rem; font-weight: 650; line-height: 1.3; letter-spacing: -.005em; }
h3 { margin: 1.9rem 0 .4rem; font-size: .95rem; font-weight: 650; }
p { margin: .6rem 0; max-width: 44rem; }
ul { margin: .6rem 0; padding-left: 1.2rem; max-width: 44rem; }
li { margin: .35rem 0; }
a { color: var(--open); text-underline-offset: .15em; }
.quiet, footer, figcaption { color: var(--soft); font-size: .85rem; }
code { font: .86em/1.45 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { margin: .8rem 0; padding: .75rem 1rem; background: var(--raised); border-radius: 6px; white-space: pre-wrap; }
.outcome { margin: 0 0 1.5rem; padding: 1.1rem 1.3rem; background: var(--raised); border-left: 5px solid var(--tone); border-radius: 4px 8px 8px 4px; }
.outcome p { margin: .25rem 0 0; }
.outcome .word { margin: 0; color: var(--tone); font-size: 1.75rem; font-weight: 680; line-height: 1.2; letter-spacing: -.01em; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .back { --tone: var(--back); } .open { --tone: var(--open); }
.tone { color: var(--tone); }
.keys { display: flex; flex-wrap: wrap; gap: 1rem 2.6rem; margin: 0; }
.keys dt { color: var(--soft); font-size: .8rem; }
.keys dd { margin: 0; font-size: 1.15rem; font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; margin: 2rem 0 0; padding: .8rem 0; border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); font-size: .85rem; }
nav a { color: var(--soft); text-decoration: none; }
nav a:hover, nav a:focus { color: var(--ink); text-decoration: underline; }
.facts { margin: .6rem 0; }
.facts > div { display: grid; grid-template-columns: minmax(9rem, 15rem) 1fr; gap: 0 1.5rem; padding: .32rem 0; border-bottom: 1px solid var(--rule); }
.facts > div:last-child { border-bottom: 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; min-width: 0; }
.dense { columns: 2; column-gap: 2.5rem; font-size: .9rem; }
.dense > div { grid-template-columns: 8rem 1fr; gap: 0 1rem; break-inside: avoid; }
.dense > div:last-child { border-bottom: 1px solid var(--rule); }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; line-height: 1.45; }
th, td { padding: .38rem 1rem .38rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; white-space: nowrap; border-bottom-color: var(--mark); }
tbody th { color: var(--soft); font-weight: 400; }
td.n { text-align: left; }
.deep { display: block; }
details { margin: .7rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .875rem; }
summary:hover, summary:focus { color: var(--ink); }
figure { margin: 0; }
figcaption { margin: .2rem 0 0; max-width: 44rem; }
.chart { display: block; width: 100%; height: auto; font-size: 11.5px; }
.for-narrow { display: none; }
.chart text { fill: var(--soft); }
.grid, .axis { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--mark); }
.faint { stroke-dasharray: 1 4; }
.mark { stroke: var(--mark); stroke-width: 1; stroke-dasharray: 2 3; opacity: .75; }
.mark-label { font-size: 10.5px; }
.limit { stroke: var(--limit); stroke-width: 1.2; stroke-dasharray: 6 3 1 3; }
.chart .limit-label { fill: var(--limit); font-size: 10.5px; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.line.dashed { stroke-dasharray: 6 5; }
.line.green { stroke: var(--green); } .line.blue { stroke: var(--blue); }
.dot.green { fill: var(--green); }
.dot.blue { fill: var(--paper); stroke: var(--blue); stroke-width: 1.6; }
.area.blue { fill: var(--blue-ground); }
.hatch-ground { fill: var(--green-ground); }
.hatch { stroke: var(--green); stroke-width: 1.4; opacity: .45; }
.chart .name { font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 3.5px; stroke-linejoin: round; }
.chart .name.green { fill: var(--green); } .chart .name.blue { fill: var(--blue); }
.gap line { stroke: var(--mark); stroke-width: 1; }
.gap.green line { stroke: var(--green); } .gap.blue line { stroke: var(--blue); stroke-dasharray: 3 2; }
.chart .gap-label { font-size: 10.5px; paint-order: stroke; stroke: var(--paper); stroke-width: 6px; }
footer { margin-top: 3.5rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
@media (max-width: 640px) {
  body { padding: 1.5rem 1.1rem 3rem; }
  h1 { font-size: 1.65rem; }
  .for-wide { display: none; }
  .for-narrow { display: block; }
  .dense { columns: 1; }
  .facts > div { grid-template-columns: 7.2rem 1fr; gap: 0 .8rem; padding: .4rem 0; font-size: .9rem; }
  .facts dt { font-size: .8rem; padding-top: .1rem; }
  .wide td { grid-template-columns: 5rem 1fr; }
  .scroll { overflow: visible; }
  table, tbody, tr, td, tbody th { display: block; width: 100%; }
  thead { display: none; }
  tr { padding: .55rem 0; border-bottom: 1px solid var(--rule); }
  td, tbody th { display: grid; grid-template-columns: 7.2rem 1fr; gap: .8rem; padding: .12rem 0; border: 0; overflow-wrap: anywhere; }
  tbody th { display: block; color: var(--ink); font-weight: 600; }
  td:empty { display: none; }
  td::before { content: attr(data-label); color: var(--soft); font-size: .8rem; }
  .deep { padding-left: 0 !important; }
}
@media print {
  :root {
    --paper: #ffffff; --raised: #f4f4ef; --ink: #000000; --soft: #444444; --rule: #cccccc; --green: #0b6b42; --green-ground: #e2f0e8; --blue: #234f9e; --blue-ground: #edf1f9;
    --limit: #a0201a; --mark: #777777; --good: #0b6b42; --bad: #a0201a; --back: #6d4700; --open: #234f9e;
  }
  @page { margin: 16mm 15mm 18mm; }
  html { font-size: 9.5pt; }
  body { max-width: none; padding: 0; line-height: 1.45; }
  nav { display: none; }
  h2 { margin-top: 1.8rem; break-after: avoid; }
  h3, summary { break-after: avoid; }
  .outcome, figure, .facts > div, tr, pre { break-inside: avoid; }
  .outcome { border: 1px solid var(--rule); border-left: 5px solid var(--tone); }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { list-style: none; }
  a { color: inherit; }
}
]]

return M
