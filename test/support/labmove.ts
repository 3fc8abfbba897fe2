/** Moving guests between agents in the lab, and checking the results; for several tests. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'

import { systemClock } from '../../src/runtime/clock.ts'
import {
  compareArrived, missingForLab, moveByAgent, waitFor, type AgentMove, type GuestOptions, type LabCluster,
  type LabGuest,
} from '../../testnet/index.ts'

/** Options that source and destination QEMU share. */
export type GuestKind = Pick<GuestOptions, 'name' | 'system' | 'work' | 'memoryMiB'>

/** The result of a handoff, from `pagemesh migrate --json`. */
export type MoveResult = NonNullable<Awaited<ReturnType<ReturnType<LabCluster['agent']>['migrate']>>['result']>

/** QEMU's own count of the pages that it sent. */
export interface QemuCount {
  status: string
  zeroPages: number
  otherPages: number
  /** RAM with its headers, without device state. */
  ramBytes: number
}

const END_TIMEOUT_MS = 30_000
const LOG_CHARACTERS_SHOWN = 1500
/** Pages within which a busy QEMU paused so long that they were sent raw. */
const STALLED_PAGES_MAX = 16
/** Device state, which QEMU does not count as RAM. */
const DEVICE_STATE_BYTES_MAX = 8 * 2 ** 20

/** For `before`: skips the suite, naming what this machine lacks. */
export async function skipWithoutLab(this: Mocha.Context): Promise<void> {
  const missing = await missingForLab()
  if (missing === undefined) return
  console.log(`      skipped: this machine lacks ${missing}`)
  this.skip()
}

/** Moves a guest that runs, and expects the agents to say that all went well. */
export async function move(cluster: LabCluster, ends: AgentMove): Promise<MoveResult> {
  const result = await moveAnyhow(cluster, ends)
  assert.equal(result.arrivedState, 'running')
  assert.ok(result.downtimeMs !== null && result.downtimeMs > 0, `${result.downtimeMs} ms of downtime`)
  return result
}

/**
 * Moves a guest that its operator stops on its way, so that it arrives paused and its memory can be compared; expects
 * the agents to report success.
 */
export async function moveToStandstill(cluster: LabCluster, ends: AgentMove): Promise<MoveResult> {
  const result = await moveAnyhow(cluster, { standstill: {}, ...ends })
  assert.equal(result.arrivedState, 'paused', 'it was stopped before it switched over')
  assert.equal(result.downtimeMs, null, 'it did not run when it switched over')
  return result
}

/** Whatever the guest was doing at switchover. */
export async function moveAnyhow(cluster: LabCluster, ends: AgentMove): Promise<MoveResult> {
  const { guest, from, to, mode } = ends
  const { status, result, errors } = await moveByAgent(cluster, ends)
  assert.equal(status, 0, `${errors}\n${logEnd(cluster, from)}\n${logEnd(cluster, to)}`)
  assert.ok(result !== undefined)
  assert.deepEqual([result.guest, result.from, result.to, result.mode, result.status],
    [guest.name, from, to, mode, 'completed'])
  assert.equal(result.reason, undefined)
  assert.ok(result.digestMatched, 'the destination wrote what the source read')
  return result
}

/** The last log lines of a host's agent, for the message of a failed test. */
function logEnd(cluster: LabCluster, host: string): string {
  return `agent of ${host}: ...${cluster.agent(host).log.slice(-LOG_CHARACTERS_SHOWN)}`
}

/** Expects that the counts of a handoff add up and equal those of the source QEMU. */
export async function expectExactCounts(result: MoveResult, source: LabGuest): Promise<void> {
  expectCounts(result, { counted: await countOf(source), major: await majorOf(source) })
}

/** The same if the source QEMU may have ended: `counted` are its figures, `major` its version. */
export function expectCounts(
  result: Omit<MoveResult, 'status'>, { counted, major }: { counted: QemuCount; major: number },
): void {
  const { pages, refsFilledBy } = result
  assert.equal(pages.total, pages.zero + pages.ref + pages.literal)
  assert.equal(Object.values(refsFilledBy).reduce((sum, count) => sum + count, 0), pages.ref)
  assert.equal(result.literalBytes, pages.literal * 4096)
  assert.ok(result.literalWireBytes <= result.wireBytes)
  // Each byte of the stream is in a page or is sent raw.
  assert.equal(result.qemuBytes, result.rawBytes + (pages.ref + pages.literal) * 4096)
  assert.equal(counted.status, 'completed')
  assert.equal(pages.zero, counted.zeroPages)
  const stalled = counted.otherPages - pages.ref - pages.literal
  assert.ok(stalled >= 0 && stalled <= STALLED_PAGES_MAX, `${stalled} of ${counted.otherPages} pages are not counted`)
  const otherBytes = result.qemuBytes - counted.ramBytes
  // A newer QEMU counts all that it writes, and the device state of post-copy, which is sent in a package, twice.
  const range = major > 7 ? [-DEVICE_STATE_BYTES_MAX, 0] as const : [1, DEVICE_STATE_BYTES_MAX] as const
  assert.ok(otherBytes >= range[0] && otherBytes <= range[1], `${otherBytes} bytes beside RAM`)
}

/**
 * Compares a guest that was stopped on its way with its source; then resumes it and expects it to go on with its work.
 */
export async function expectArrivedWhole(
  source: LabGuest, destination: LabGuest, memoryMiB: number, without: readonly string[] = [],
): Promise<void> {
  const beatsBefore = source.beats()
  const { comparedBytes, differences } = await compareArrived(source, destination, without)
  assert.deepEqual(differences, [])
  assert.ok(comparedBytes >= memoryMiB * 2 ** 20)
  await destination.moreBeats(2)
  assert.ok(destination.beats() > beatsBefore, 'the heartbeats go on counting')
}

/** The first number of its QEMU's version. */
export async function majorOf(guest: LabGuest): Promise<number> {
  return (await guest.qmp.execute('query-version') as { qemu: { major: number } }).qemu.major
}

/** The source QEMU's counts of its migration. */
export async function countOf(guest: LabGuest): Promise<QemuCount> {
  const said = await guest.qmp.execute('query-migrate') as {
    status?: string
    ram?: { duplicate: number; normal: number; transferred: number }
  }
  const { duplicate = 0, normal = 0, transferred = 0 } = said.ram ?? {}
  return { status: said.status ?? 'none', zeroPages: duplicate, otherPages: normal, ramBytes: transferred }
}

/** Resolves when the guest's process has ended. */
export async function untilEnded(guest: LabGuest): Promise<void> {
  await waitFor(() => existsSync(`/proc/${guest.pid}`) ? undefined : true, {
    clock: systemClock, timeoutMs: END_TIMEOUT_MS, what: `the QEMU of ${guest.name} (${guest.pid}) to end`,
  })
}
