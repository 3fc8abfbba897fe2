/** What is measured of an agent, and how it changes over the days of the month. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** What the process itself tells, after a collection. */
export interface Inside {
  heapBytes: number
  externalBytes: number
  rssBytes: number
  timers: number
  /** How late the event loop was since it was asked last. */
  lag: { p99Ms: number; maxMs: number }
}

/** An agent at rest. */
export interface Figures extends Omit<Inside, 'lag'> {
  descriptors: number
  sockets: number
  threads: number
  lagP99Ms: number
  lagMaxMs: number
}

export type FigureName = keyof Figures

/** Asks the process by its probe, and looks at it from outside. */
export async function figuresOf(pid: number, probeDirectory: string): Promise<Figures> {
  const { descriptors, sockets, threads } = outsideOf(pid)
  const inside = JSON.parse(await text(connect(join(probeDirectory, String(pid))))) as Inside
  const { lag, ...others } = inside
  return { ...others, descriptors, sockets, threads, lagP99Ms: lag.p99Ms, lagMaxMs: lag.maxMs }
}

/** Descriptors, those of them that are sockets, and threads. */
export function outsideOf(pid: number): Pick<Figures, 'descriptors' | 'sockets' | 'threads'> {
  const names = readdirSync(`/proc/${pid}/fd`)
  const sockets = names.filter((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:')
    } catch {
      // Closed since.
      return false
    }
  })
  return { descriptors: names.length, sockets: sockets.length, threads: threadsOf(pid) }
}

function threadsOf(pid: number): number {
  return Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
}

/** The slope of a line through the values, by least squares: change from one value to the next. Pure. */
export function slopeOf(values: readonly number[]): number {
  if (values.length < 2) return 0
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  for (const [index, value] of values.entries()) {
    above += (index - middle) * (value - mean)
    below += (index - middle) ** 2
  }
  return above / below
}
