/** Medians with their spread, ratios within the run, and winners, from the samples. Pure. */
import { PAGEMESH_WAYS, QEMU_WAYS, type Cell, type WayName } from './cells.ts'
import type { Sample } from './sample.ts'

export interface Spread {
  median: number
  lowest: number
  highest: number
}

export type MeasureName =
  'wireBytes' | 'sourceBytes' | 'besideBytes' | 'totalMs' | 'downtimeMs' | 'silenceMs' | 'usualSilenceMs' |
  'peakBytesPerSecond' | 'agentSeconds' | 'agentSecondsPerGb' | 'qemuSeconds' | 'processorSeconds' |
  'workBefore' | 'workDuring' | 'workAfter'

/** All samples of one way in one cell. */
export interface Row {
  cell: Cell
  way: WayName
  samples: Sample[]
  figures: Record<MeasureName, Spread>
  /** Relative to plain pre-copy of the same round, if it was measured. */
  ratios: { wireBytes: Spread; totalMs: Spread } | undefined
}

/** The figures that are compared with the best of QEMU's ways. */
export const CONTESTS = ['wireBytes', 'totalMs', 'downtimeMs', 'silenceMs'] as const
export type Contest = typeof CONTESTS[number]

/** One contest in one cell: the best of Pagemesh's ways against the best of QEMU's. */
export interface Verdict {
  cell: Cell
  contest: Contest
  ours: { way: WayName; value: number }
  theirs: { way: WayName; value: number }
  isLost: boolean
}

/** Where a saving comes from: bytes of one migration of the same guest over the same link. */
export interface Shares {
  plain: number
  /** Nothing kept beforehand, no pages from other hosts. */
  nothing: number
  /** Common pages kept beforehand. */
  placement: number
  /** Guests of the same system at the destination. */
  similar: number | undefined
}

const VALUES: Readonly<Record<MeasureName, (sample: Sample) => number>> = {
  wireBytes: ({ wireBytes }) => wireBytes,
  sourceBytes: ({ sourceBytes }) => sourceBytes,
  besideBytes: ({ accounts: { report, gossip, swap } }) => report + gossip + swap,
  totalMs: ({ totalMs }) => totalMs,
  downtimeMs: ({ downtimeMs }) => downtimeMs,
  silenceMs: ({ silenceMs }) => silenceMs,
  usualSilenceMs: ({ usualSilenceMs }) => usualSilenceMs,
  peakBytesPerSecond: ({ peakBytesPerSecond }) => peakBytesPerSecond,
  agentSeconds: ({ agentSeconds }) => agentSeconds,
  agentSecondsPerGb: ({ agentSeconds, handoffs }) => perGb(agentSeconds, handoffs),
  qemuSeconds: ({ qemuSeconds }) => qemuSeconds,
  processorSeconds: ({ agentSeconds, qemuSeconds }) => agentSeconds + qemuSeconds,
  workBefore: ({ work }) => work?.before ?? 0,
  workDuring: ({ work }) => work?.during ?? 0,
  workAfter: ({ work }) => work?.after ?? 0,
}

/** Seconds per GB that the source QEMUs wrote; 0 for QEMU without agents. */
function perGb(seconds: number, handoffs: Sample['handoffs']): number {
  const bytes = handoffs.reduce((sum, { qemuBytes }) => sum + qemuBytes, 0)
  return bytes === 0 ? 0 : seconds * 1e9 / bytes
}

/** One figure of one sample. */
export function valueOf(sample: Sample, measure: MeasureName): number {
  return VALUES[measure](sample)
}

/** An odd number of values has a middle one; of an even number it is the mean of the two. Throws on none. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('nothing has no median')
  const sorted = [...values].sort((left, right) => left - right)
  const middle = sorted.length >>> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, lowest: sorted[0]!, highest: sorted.at(-1)! }
}

/** One row per way and cell, in the order of the first samples. Samples of failed moves are left out. */
export function rowsOf(samples: readonly Sample[]): Row[] {
  const whole = samples.filter(({ failure }) => failure === undefined)
  const groups = new Map<string, Sample[]>()
  for (const sample of whole) {
    const key = JSON.stringify([keyOf(sample.cell), sample.way])
    groups.set(key, [...groups.get(key) ?? [], sample])
  }
  return [...groups.values()].map((group) => {
    const { cell, way } = group[0]!
    const figures = Object.fromEntries(Object.entries(VALUES)
      .map(([name, value]) => [name, spreadOf(group.map(value))])) as Record<MeasureName, Spread>
    return { cell, way, samples: group, figures, ratios: ratiosOf(group, whole) }
  })
}

/** Each sample relative to plain pre-copy of its round, under the same load of the machine. */
function ratiosOf(group: readonly Sample[], all: readonly Sample[]): Row['ratios'] {
  const pairs = group.flatMap((sample) => {
    const plain = all.find((other) => other.way === 'qemu-precopy' && other.round === sample.round &&
      isSameJourney(other.cell, sample.cell))
    return plain === undefined ? [] : [{ sample, plain }]
  })
  if (pairs.length === 0) return undefined
  return {
    wireBytes: spreadOf(pairs.map(({ sample, plain }) => sample.wireBytes / plain.wireBytes)),
    totalMs: spreadOf(pairs.map(({ sample, plain }) => sample.totalMs / plain.totalMs)),
  }
}

/**
 * Whether QEMU's ways count for both cells: they may differ only in the destination, which makes no difference to QEMU.
 */
export function isSameJourney(left: Cell, right: Cell): boolean {
  return left.link === right.link && left.guest === right.guest && left.count === right.count
}

/** All contests of cells that both sides measured, with nothing left out. */
export function verdictsOf(rows: readonly Row[]): Verdict[] {
  const cells = new Map(rows.filter(({ cell, way }) => isOurs(way) && cell.leftOut === 'none')
    .map(({ cell }) => [keyOf(cell), cell]))
  return [...cells.values()].flatMap((cell) => CONTESTS.flatMap((contest) => {
    const ours = best(rows.filter((row) => isOurs(row.way) && keyOf(row.cell) === keyOf(cell)), contest)
    const theirs = best(rows.filter((row) => !isOurs(row.way) && isSameJourney(row.cell, cell)), contest)
    if (ours === undefined || theirs === undefined) return []
    return [{ cell, contest, ours, theirs, isLost: ours.value > theirs.value }]
  }))
}

/** Undefined unless the first three were measured. */
export function sharesOf(rows: readonly Row[], link: Cell['link'], guest: Cell['guest']): Shares | undefined {
  const bytes = (way: WayName, destination: Cell['destination']): number | undefined => rows.find((row) =>
    row.way === way && row.cell.link === link && row.cell.guest === guest && row.cell.count === 1 &&
    row.cell.leftOut === 'none' && row.cell.destination === destination)?.figures.wireBytes.median
  const plain = bytes('qemu-precopy', 'similar')
  const nothing = bytes('pagemesh-precopy', 'nothing')
  const placement = bytes('pagemesh-precopy', 'placement')
  if (plain === undefined || nothing === undefined || placement === undefined) return undefined
  return { plain, nothing, placement, similar: bytes('pagemesh-precopy', 'similar') }
}

export function isOurs(way: WayName): boolean {
  return (PAGEMESH_WAYS as readonly WayName[]).includes(way)
}

/** Position of a way in the report: QEMU's first. */
export function rankOf(way: WayName): number {
  return [...QEMU_WAYS, ...PAGEMESH_WAYS].indexOf(way)
}

function best(rows: readonly Row[], contest: Contest): { way: WayName; value: number } | undefined {
  // A lost guest is silent for ever: its way takes no part in the contest for silence.
  const isWhole = ({ samples }: Row): boolean => samples.every(({ loss }) => loss === undefined)
  const [first] = rows.filter((row) => contest !== 'silenceMs' || isWhole(row))
    .map(({ way, figures }) => ({ way, value: figures[contest].median }))
    .sort((left, right) => left.value - right.value)
  return first
}

function keyOf({ link, destination, guest, count, leftOut }: Cell): string {
  return [link, destination, guest, count, leftOut].join('|')
}
