/**
 * How long handoffs from this host take. A handoff takes a time of its own, whatever its guest (connecting, QEMU's
 * settings, the switchover), the work on its pages (each is written by QEMU, read, hashed and sent, and literals are
 * compressed), and the wire. A rehearsal reads, hashes and compresses the same pages, so its speeds say how the work of
 * one guest compares with another's on this machine, as busy as it is now. Earlier handoffs say how much longer all of
 * it takes. Pure.
 */
import type { PageCounts } from './result.ts'

/** An earlier handoff from this host. */
export interface PastMove {
  to: string
  mode: 'precopy' | 'postcopy'
  totalMs: number
  downtimeMs: number | null
  wireBytes: number
  pages: Pick<PageCounts, 'ref' | 'literal'>
}

/** What a rehearsal took: for a page that has bytes, and for the compression of a literal; ms. */
export interface Speeds {
  pageMs: number
  literalMs: number
}

export interface Pace {
  /** What every handoff takes, ms. */
  baseMs: number
  /** How many times as long as its rehearsal the work takes. */
  factor: number
  /** For a byte on the wire, ms. */
  wireMs: number
  /** Whether the wire's rate was measured by itself. The work goes on meanwhile: the slower of both decides. */
  isMeasured: boolean
  /** Whether anything is known of the way to that host; a limit that was asked for counts as what it carries. */
  isKnown: boolean
}

export interface PaceInit {
  to: string
  /** Newest first, to any host. */
  past: readonly PastMove[]
  speeds: Speeds
  /** Of the link to that host, as measured; undefined: unknown. */
  linkBytesPerSecond: number | undefined
  /** Most that may be on the wire; undefined: no limit. */
  bytesPerSecondMax: number | undefined
}

/**
 * What is expected before any handoff: a second, three times the rehearsal, and 1 Gbit/s; and its weight beside an
 * earlier handoff's 1. Handoffs of one host differ less than hosts do, and hosts less than links.
 */
const PRIORS = [{ value: 1000, weight: 0.05 }, { value: 3, weight: 0.05 }, { value: 1000 / 125e6, weight: 0.001 }]
/** Handoffs that count: the newest ones, because links and loads change. */
const PAST_MAX = 8
/** One whose bytes on the wire took more of its time tells nothing of the work. */
const WIRE_SHARE_MAX = 0.5

/** The time of the work on these pages at those speeds. */
export function workOf({ ref, literal }: Pick<PageCounts, 'ref' | 'literal'>, { pageMs, literalMs }: Speeds): number {
  return (ref + literal) * pageMs + literal * literalMs
}

/** The pace that fits earlier handoffs best: least squares of their relative errors, drawn towards the prior. */
export function paceOf({ to, past, speeds, linkBytesPerSecond, bytesPerSecondMax }: PaceInit): Pace {
  const isMeasured = linkBytesPerSecond !== undefined
  const moves = past.filter((move) => move.totalMs > 0 && (isMeasured
    ? move.wireBytes / linkBytesPerSecond * 1000 < move.totalMs * WIRE_SHARE_MAX : move.to === to)).slice(0, PAST_MAX)
  const shares = moves.map(({ totalMs, pages, wireBytes }) =>
    [1 / totalMs, workOf(pages, speeds) / totalMs, isMeasured ? 0 : wireBytes / totalMs])
  // The normal equations: each handoff's shares should add up to 1.
  const equations = PRIORS.map(({ value, weight }, row) => [
    ...PRIORS.map((_, column) => shares.reduce((sum, share) => sum + share[row]! * share[column]!,
      row === column ? weight / value ** 2 : 0)),
    shares.reduce((sum, share) => sum + share[row]!, weight / value),
  ])
  const [baseMs, factor, fitted] = solveNonNegative(equations) as [number, number, number]
  const wireMs = Math.max(isMeasured ? 1000 / linkBytesPerSecond : fitted, 1000 / (bytesPerSecondMax ?? Infinity))
  const isKnown = isMeasured || bytesPerSecondMax !== undefined || moves.length > 0
  return { baseMs, factor, wireMs, isMeasured, isKnown }
}

/** The time of a stream, beside what every handoff takes; ms. */
export function streamMsOf(
  { wireBytes, workMs }: { wireBytes: number; workMs: number }, { factor, wireMs, isMeasured }: Pace,
): number {
  return isMeasured ? Math.max(wireBytes * wireMs, workMs * factor) : wireBytes * wireMs + workMs * factor
}

/** The solution without negative values: what would be negative is left out, and the rest fitted again. */
function solveNonNegative(equations: readonly (readonly number[])[]): number[] {
  const used = equations.map((_, index) => index)
  for (;;) {
    const found = solve(used.map((row) => [...used, equations.length].map((column) => equations[row]![column]!)))
    const least = Math.min(...found)
    if (least >= 0) return equations.map((_, index) => found[used.indexOf(index)] ?? 0)
    used.splice(found.indexOf(least), 1)
  }
}

/** Solves linear equations whose matrix is positive definite: no pivot is 0. */
function solve(equations: readonly (readonly number[])[]): number[] {
  const rows = equations.map((row) => [...row])
  const count = rows.length
  for (const [pivot, row] of rows.entries()) {
    for (const other of rows) {
      if (other === row) continue
      const times = other[pivot]! / row[pivot]!
      for (let column = pivot; column <= count; column++) other[column]! -= times * row[column]!
    }
  }
  return rows.map((row, index) => row[count]! / row[index]!)
}
