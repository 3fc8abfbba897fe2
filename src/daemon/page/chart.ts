import type { LedgerSample } from '../../index.ts'
import { formatBytes, formatDuration } from '../../text/units.ts'
import { html, type Html } from './html.ts'
import { table } from './table.ts'

/** The drawing's own units; it is stretched to the room that there is, and its lines keep their width. */
const WIDTH = 1000
const HEIGHT = 200
/** Rows of the same figures as a table. */
const ROWS_MAX = 8

/** Saved and spent over time as two lines, and as a table for whoever does not see them. */
export function ledgerChart(samples: readonly LedgerSample[]): Html {
  const [first] = samples
  const last = samples.at(-1)
  if (first === undefined || last === undefined) return html`<p class="none">No time has passed yet.</p>`
  const top = roundUp(Math.max(1, ...samples.flatMap(({ savedBytes, spentBytes }) => [savedBytes, spentBytes])))
  const bottom = Math.min(0, ...samples.map(({ savedBytes }) => savedBytes))
  const lineOf = (valueOf: (sample: LedgerSample) => number): string => samples.map((sample) => {
    const x = WIDTH * (1 - sample.agoMs / first.agoMs)
    const y = HEIGHT * (top - valueOf(sample)) / (top - bottom)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  }).join(' ')
  const zero = (HEIGHT * top / (top - bottom)).toFixed(1)
  const summary = `Saved ${formatBytes(Math.round(last.savedBytes))} and spent ` +
    `${formatBytes(Math.round(last.spentBytes))} in ${formatDuration(first.agoMs)}.`
  return html`<figure>
<figcaption><span class="key saved">saved by handoffs</span>
<span class="key spent">spent beforehand</span></figcaption>
<div class="chart"><div class="axis"><span>${formatBytes(top)}</span><span>${formatBytes(bottom)}</span></div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${summary}">
<path class="grid" d="M0 0.5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${zero}H${WIDTH}"/>
<polyline class="spent" points="${lineOf(({ spentBytes }) => spentBytes)}"/>
<polyline class="saved" points="${lineOf(({ savedBytes }) => savedBytes)}"/>
</svg>
<div class="times"><span>${formatDuration(first.agoMs)} ago</span><span>now</span></div></div>
</figure>
<details data-key="figures"><summary>The same as figures</summary>
${figures(samples)}</details>`
}

function figures(samples: readonly LedgerSample[]): Html {
  const step = (samples.length - 1) / (ROWS_MAX - 1)
  const shown = Array.from({ length: ROWS_MAX }, (_, row) => samples[Math.round(row * step)]!).reverse()
  return table({
    caption: 'Saved and spent over time', columns: ['When', '#Saved', '#Spent', '#Net'], none: '',
    rows: shown.map(({ agoMs, savedBytes, spentBytes }) => [
      agoMs === 0 ? 'now' : `${formatDuration(agoMs)} ago`, ...[savedBytes, spentBytes, savedBytes - spentBytes]
        .map((bytes) => formatBytes(Math.round(bytes))),
    ]),
  })
}

/** To a figure that is easy to read: 1, 2 or 5 and zeros. */
function roundUp(bytes: number): number {
  const power = 10 ** Math.floor(Math.log10(bytes))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= bytes) ?? bytes
}
