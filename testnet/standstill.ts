/**
 * How a working guest comes to stand still on its way, so that its memory can be compared after its arrival: an agent
 * restores a guest's run state at switchover, so a guest that shall arrive paused is stopped at the source.
 *
 *   pre-copy     migrate ---- half of its memory ---- stop ---- the rest, and what it changed ---- arrives paused
 *   post-copy    stop, migrate ------------------------------------------------------------------- arrives paused
 *
 * In pre-copy the guest runs for most of the way. In post-copy an agent switches over as soon as the stream has begun,
 * so that no later stop would be in time.
 */
import type { MigrationMode } from '../src/index.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { stateOf, type LabGuest } from './machine/qemu.ts'
import { waitFor } from './wait.ts'

export interface StandstillOptions {
  mode: MigrationMode
  /**
   * In pre-copy the guest stops after this many passes over its changes; default 0: during the first pass. It must
   * change its memory faster than pre-copy could converge.
   */
  passesAfterFirst?: number
}

const SENT_SHARE = 0.5
const WAIT_MS = 300_000
const PAUSE_MS = 5

/**
 * Stops `guest` through its own QMP client while `move` moves it. Resolves and rejects like `move`. A guest that stays
 * at the source is resumed there. One that switches over before the stop arrives running.
 */
export async function moveStopping<Result>(
  guest: LabGuest, { mode, passesAfterFirst = 0 }: StandstillOptions, move: () => Promise<Result>,
): Promise<Result> {
  if (mode === 'postcopy') {
    await guest.qmp.execute('stop')
    return await goOnIfLeft(guest, move())
  }
  let isOver = false
  const moving = move().finally(() => { isOver = true })
  // The caller gets its error, but only after the stop.
  moving.catch(() => undefined)
  await waitFor(async () => {
    if (isOver) return true
    if (!await isUnderway(guest, passesAfterFirst)) return undefined
    await guest.qmp.execute('stop')
    return true
  }, { clock: systemClock, what: `${guest.name} to be on its way`, timeoutMs: WAIT_MS, pauseMs: PAUSE_MS })
  return await goOnIfLeft(guest, moving)
}

async function isUnderway(guest: LabGuest, passesAfterFirst: number): Promise<boolean> {
  const { status, ram } = await guest.qmp.execute('query-migrate') as {
    status?: string
    ram?: { 'remaining': number; 'total': number; 'dirty-sync-count': number }
  }
  if (status !== 'active' || ram === undefined) return false
  // It is one during the first pass.
  const pass = ram['dirty-sync-count']
  if (passesAfterFirst > 0) return pass > passesAfterFirst + 1
  return pass > 1 || (pass === 1 && ram.remaining <= (1 - SENT_SHARE) * ram.total)
}

async function goOnIfLeft<Result>(guest: LabGuest, moving: Promise<Result>): Promise<Result> {
  try {
    return await moving
  } finally {
    // A QEMU that is no more has no guest that could go on.
    const state = await stateOf(guest).catch(() => undefined)
    if (state === 'paused') await guest.qmp.execute('cont')
  }
}
