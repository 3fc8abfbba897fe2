export const ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#2563a8">' +
  '<rect x="1" y="1" width="6" height="6" rx="1"/><rect x="9" y="9" width="6" height="6" rx="1"/></g>' +
  '<path d="M9 4h4v3M7 12H3V9" fill="none" stroke="#2563a8" stroke-width="1.5"/></svg>\n'

export const STYLE = `:root {
  color-scheme: light dark;
  --ink: #1d2430; --quiet: #566071; --paper: #f6f7f9; --card: #fff; --line: #dfe3e8; --accent: #1f5fa8;
  --saved: #1f5fa8; --spent: #b4500b; --danger: #b3261e; --warning: #8a5a00; --note: #566071; --well: #2c6e3f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ee; --quiet: #a3adbb; --paper: #14171c; --card: #1c2027; --line: #323945; --accent: #7fb4f0;
    --saved: #7fb4f0; --spent: #f0a765; --danger: #ff8b80; --warning: #f0bd5c; --note: #a3adbb; --well: #86d19b;
  }
}
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
header, main { max-width: 76rem; margin: 0 auto; padding: 0 1rem }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1rem; padding-top: 1.2rem }
header p { color: var(--quiet); flex: 1; min-width: 12rem }
h1 { font-size: 1.5rem } h1, p, dl, figure { margin: 0 }
h2 { font-size: 1.05rem; margin: 0 0 .6rem }
a { color: var(--accent) }
nav a { display: inline-block; padding: .2rem .1rem; margin-left: .6rem }
nav a[aria-current] { color: var(--ink); text-decoration: none; border-bottom: 2px solid var(--accent) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
.skip { position: absolute; left: -99rem }
.skip:focus { left: 1rem; top: .3rem; background: var(--card); padding: .3rem }
main { padding-bottom: 3rem }
section, .totals > div { background: var(--card); border: 1px solid var(--line); border-radius: 8px }
section { padding: .9rem 1rem; margin-top: 1rem }
section > div > p:not([class]) { color: var(--quiet); max-width: 46rem; margin-bottom: .8rem }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; margin-top: 1rem }
.totals > div { padding: .6rem 1rem } dt { color: var(--quiet) } dd { margin: 0 }
.totals b { font-size: 1.35rem; font-weight: 600 } .totals span { color: var(--quiet); white-space: nowrap }
#live:not(:empty)::before { content: ''; display: inline-block; width: .55rem; height: .55rem; border-radius: 50% }
#live::before { background: currentColor; margin: 0 .3rem 0 .6rem } #live.on { color: var(--well) }
#live.off { color: var(--warning) }
.none { color: var(--quiet) } .well { color: var(--well) } .bad { color: var(--danger); font-weight: 600 }
.concerns { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem }
.concerns li { border-left: 4px solid var(--note); padding: .1rem 0 .1rem .8rem; overflow-wrap: anywhere }
.level { text-transform: uppercase; font-size: .75rem; letter-spacing: .04em; color: var(--note); margin-right: .3rem }
.advice { color: var(--quiet) }
.concerns .danger { border-color: var(--danger) } .danger .level { color: var(--danger) }
.concerns .warning { border-color: var(--warning) } .warning .level { color: var(--warning) }
.table { overflow-x: auto; position: relative }
table { border-collapse: collapse; width: 100% }
th, td { padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
th, td { overflow-wrap: break-word; max-width: 26rem }
tbody tr:last-child > * { border-bottom: 0 }
.short { white-space: nowrap }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap } tbody th { font-weight: 500 }
td.number, th.number { padding-right: 1.6rem; text-align: right; white-space: nowrap }
td.number { font-variant-numeric: tabular-nums }
th:last-child, td:last-child { padding-right: 0 }
small { display: block; color: var(--quiet); min-width: 14rem; font-size: .87rem }
progress, meter { width: 4.5rem; height: .8rem; vertical-align: -.05rem; accent-color: var(--accent) }
td:has(progress), td:has(meter) { white-space: nowrap; font-variant-numeric: tabular-nums }
details { border-top: 1px solid var(--line); padding: .3rem 0 } details:first-child { border-top: 0 }
summary { cursor: pointer; padding: .15rem 0; overflow-wrap: anywhere } details .table { margin: .3rem 0 .6rem 1.1rem }
figcaption { color: var(--quiet); display: flex; flex-wrap: wrap; gap: 0 1.2rem; margin-bottom: .4rem }
.key::before { content: ''; display: inline-block; width: 1.6rem; margin-right: .4rem; vertical-align: .25rem }
.key.saved::before { border-top: 3px solid var(--saved) } .key.spent::before { border-top: 3px dashed var(--spent) }
.chart { display: grid; grid-template-columns: auto 1fr; gap: .2rem .6rem; color: var(--quiet); font-size: .85rem }
.chart svg { width: 100%; height: 11rem; overflow: visible }
.axis, .times { display: flex; justify-content: space-between } .axis { flex-direction: column; text-align: right }
.times { grid-column: 2 }
polyline, .grid { fill: none; vector-effect: non-scaling-stroke; stroke-width: 2.5; stroke-linejoin: round }
polyline.saved { stroke: var(--saved) } polyline.spent { stroke: var(--spent); stroke-dasharray: 6 5 }
.grid { stroke: var(--line); stroke-width: 1 }
@media (max-width: 40rem) {
  header p { flex-basis: 100% } nav a { margin: 0 .8rem 0 0 } section { padding: .8rem }
  .totals { grid-template-columns: 1fr 1fr; gap: .5rem } .totals span { white-space: normal }
  .totals > div:last-child:nth-child(odd) { grid-column: 1 / -1 }
  details .table { margin-left: 0 }
  .stacks thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  .stacks, .stacks tbody, .stacks tr, .stacks th, .stacks td { display: block; max-width: none; padding: 0; border: 0 }
  .stacks tbody tr { border-bottom: 1px solid var(--line); padding: .5rem 0 }
  .stacks tbody tr:last-child { border-bottom: 0 }
  .stacks tbody th { font-weight: 600; overflow-wrap: anywhere; white-space: normal }
  .stacks td { display: flex; flex-wrap: wrap; justify-content: flex-end; align-items: baseline; gap: 0 .5rem }
  .stacks td.void { display: none } .stacks meter { width: 2.5rem }
  .stacks td.short { white-space: normal } .stacks td small { flex-basis: 100%; min-width: 0; text-align: right }
  .stacks td::before { content: attr(data-title); color: var(--quiet); margin-right: auto }
}
@media (forced-colors: active) { polyline { stroke: CanvasText } }
`
