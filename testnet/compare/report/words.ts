/** Figures and cells as people read them. Pure. */
import { formatBytes } from '../../../src/index.ts'
import { formatRate } from '../../../src/text/units.ts'
import { WAY_TITLES, type Cell } from '../cells.ts'
import { isOurs, type Contest, type MeasureName, type Row, type Spread } from '../results.ts'
import type { Sample } from '../sample.ts'

export const CONTEST_TITLES: Readonly<Record<Contest, string>> = {
  wireBytes: 'bytes on the wire', totalMs: 'total time', downtimeMs: 'downtime as reported',
  silenceMs: 'downtime as seen from outside',
}

/** `1 Gbit/s, idle guest, similar`, and the part that is left out. */
export function describeCell({ link, guest, destination, count, leftOut }: Cell): string {
  return `${describeJourney({ link, guest, count })}, ${destination}${leftOut === 'none' ? '' : `, no ${leftOut}`}`
}

/** The cell of QEMU's own ways, for which the destination makes no difference. */
export function describeJourney({ link, guest, count }: Pick<Cell, 'link' | 'guest' | 'count'>): string {
  return `${link}, ${count === 1 ? `${guest} guest` : `${count} ${guest} guests at once`}`
}

/** The way; for Pagemesh also the destination. */
export function describeRow({ way, cell }: Pick<Row, 'way' | 'cell'>): string {
  return isOurs(way) ? `${WAY_TITLES[way]}, ${cell.destination}` : WAY_TITLES[way]
}

/** A line about one sample, for progress. */
export function describeSample(sample: Sample): string {
  if (sample.failure !== undefined) return `failed: ${sample.failure}`
  const { wireBytes, totalMs, downtimeMs, silenceMs, agentSeconds, qemuSeconds, work, loss } = sample
  return [
    formatBytes(wireBytes), `${seconds(totalMs)} s`, `down ${Math.round(downtimeMs)} ms`,
    `silent ${Math.round(silenceMs)} ms`, `CPU ${agentSeconds.toFixed(1)} + ${qemuSeconds.toFixed(1)} s`,
    ...(work === undefined
      ? [] : [`requests/s ${[work.before, work.during, work.after].map((rate) => rate.toFixed(0)).join(' ')}`]),
    ...(loss === undefined ? [] : [`the guest was lost: ${loss}`]),
  ].join(', ')
}

/** A value of a measure with its unit. */
export function formatMeasure(name: MeasureName, value: number): string {
  switch (name) {
    case 'wireBytes':
    case 'sourceBytes':
    case 'besideBytes':
      return formatBytes(Math.round(value))
    case 'totalMs':
      return `${seconds(value)} s`
    case 'downtimeMs':
    case 'silenceMs':
    case 'usualSilenceMs':
      return `${Math.round(value)} ms`
    case 'peakBytesPerSecond':
      return formatRate(value)
    case 'agentSeconds':
    case 'agentSecondsPerGb':
    case 'qemuSeconds':
    case 'processorSeconds':
      return `${value.toFixed(1)} s`
    case 'workBefore':
    case 'workDuring':
    case 'workAfter':
      return value.toFixed(0)
  }
}

/** The median; with lowest and highest in brackets if they differ as written. */
export function formatSpread({ median, lowest, highest }: Spread, format: (value: number) => string): string {
  const [low, high] = [format(lowest), format(highest)]
  return low === high ? format(median) : `${format(median)} (${low} to ${high})`
}

export function formatRatio(value: number): string {
  return value.toFixed(2)
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2)
}
