import type { HandoffResult, MigrationMode } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import {
  clearDirtyLog, compareArrived, migratePlain, moveByAgent, sentDuring, waitFor, type GuestOptions, type LabCluster,
  type LabGuest,
} from '../index.ts'
import { LabError } from '../laberror.ts'
import type { Progress } from './progress.ts'

export type Mover = 'Pagemesh' | 'QEMU alone'

export interface MoveRequest {
  /** The QEMU in which it runs now. */
  guest: LabGuest
  /** Its options, for the QEMU that waits for it. */
  options: Pick<GuestOptions, 'name' | 'work' | 'memoryMiB'>
  from: string
  to: string
  mode: MigrationMode
  by: Mover
  /**
   * Whether both memories are compared, which must stand still for that. QEMU alone leaves the guest paused after its
   * arrival; with Pagemesh a running guest arrives running, so it is stopped on its way.
   */
  isCompared: boolean
}

/** One migration, measured in the same way for Pagemesh and QEMU. */
export interface Move {
  mode: MigrationMode
  by: Mover
  from: string
  to: string
  /** Bytes that the source host's interface sent meanwhile. */
  wireBytes: number
  totalMs: number
  /** Null for a guest that was stopped on its way. */
  downtimeMs: number | null
  /** Bytes of guest memory found equal at both ends; absent if not compared. */
  equalBytes?: number
  /** Pagemesh's own result; absent for QEMU alone. */
  result?: HandoffResult
}

type Figures = Pick<Move, 'totalMs' | 'downtimeMs' | 'result'>

const NOTICE_TIMEOUT_MS = 30_000
const BEATS = 2

/**
 * Moves a guest: starts the waiting QEMU, migrates, compares both memories if asked to and resumes the guest, waits for
 * its heartbeat, and ends the old QEMU. Throws LabError `demo-failed` if any of this fails.
 */
export async function moveGuest(
  components: { cluster: LabCluster; progress: Progress }, request: MoveRequest,
): Promise<{ move: Move; arrived: LabGuest }> {
  const { cluster, progress } = components
  const { guest, options, from, to, mode, by, isCompared } = request
  const title = `${options.name} from ${from} to ${to}, ${mode === 'precopy' ? 'pre-copy' : 'post-copy'}, ${by}`
  const arrived = await progress.step(`${title}: a QEMU on ${to} waits for it`, async () => {
    const waiting = await cluster.startGuest(to, { ...options, incoming: true, paused: isCompared })
    await seen(cluster, { host: from, guest: options.name, state: 'running' })
    await seen(cluster, { host: to, guest: options.name, state: 'inmigrate' })
    await clearDirtyLog(guest)
    await cluster.settled()
    return waiting
  })
  const measured = await progress.step(`${title}: moving`, () => measure(cluster, request, arrived))
  const found = isCompared ? { equalBytes: await compare(progress, title, guest, arrived) } : {}
  await progress.step(`${title}: waiting for its heartbeat on ${to}`, () => arrived.moreBeats(BEATS))
  await guest.stop()
  return { move: { mode, by, from, to, ...found, ...measured }, arrived }
}

/** Compares both memories while both stand still, then resumes the guest. */
async function compare(progress: Progress, title: string, guest: LabGuest, arrived: LabGuest): Promise<number> {
  const { comparedBytes, differences } = await progress.step(`${title}: comparing both memories`, () =>
    compareArrived(guest, arrived))
  if (differences.length > 0) throw failed(`the memory that arrived differs: ${differences.join(', ')}.`)
  return comparedBytes
}

async function measure(
  cluster: LabCluster, request: MoveRequest, arrived: LabGuest,
): Promise<Figures & Pick<Move, 'wireBytes'>> {
  const { network } = cluster
  const { guest, from, mode, by } = request
  const { result: figures, sentBytes } = await sentDuring<Figures>(network, from, () => by === 'Pagemesh'
    ? migrateByAgent(cluster, request)
    // As the agents do, post-copy begins at once.
    : migratePlain({ source: guest, destination: arrived, network, mode, passesBeforePostcopy: 0 }))
  return { ...figures, wireBytes: sentBytes ?? 0 }
}

async function migrateByAgent(
  cluster: LabCluster, { guest, from, to, mode, isCompared }: MoveRequest,
): Promise<Pick<Move, 'totalMs' | 'downtimeMs'> & { result: HandoffResult }> {
  const { status, result, errors } = await moveByAgent(cluster, {
    guest, from, to, mode, standstill: isCompared ? {} : undefined,
  })
  if (status !== 0 || result === undefined) throw failed(`\`pagemesh migrate\` ended with ${status}: ${errors.trim()}`)
  if (!result.digestMatched) throw failed('the two agents counted different bytes.')
  const wanted = isCompared ? 'paused' : 'running'
  if (result.arrivedState !== wanted) throw failed(`the guest arrived ${result.arrivedState}, not ${wanted}.`)
  return { totalMs: result.totalMs, downtimeMs: result.downtimeMs, result }
}

/** Resolves when the host's agent sees the guest in that state. */
async function seen(
  cluster: LabCluster, { host, guest, state }: { host: string; guest: string; state: string },
): Promise<void> {
  await waitFor(async () => {
    const { guests } = await cluster.agent(host).status()
    return guests.some((known) => known.name === guest && known.state === state) ? true : undefined
  }, { clock: systemClock, what: `the agent of ${host} to see ${guest} ${state}`, timeoutMs: NOTICE_TIMEOUT_MS })
}

function failed(why: string): LabError {
  return new LabError('demo-failed', `The demonstration failed: ${why}`)
}
