import type { MigrationMode } from '../../src/index.ts'
import { compareArrived, moveByAgent, type LabCluster, type LabGuest } from '../index.ts'
import { stateIfThere, type Places } from './places.ts'
import type { MoveRecord } from './record.ts'
import type { Recorder } from './recorder.ts'
import type { MigrateStep } from './scenario.ts'

const BEATS = 2
const ERRORS_CHARACTERS_KEPT = 1000

/**
 * Moves a guest as an operator would: starts a waiting QEMU, runs `pagemesh migrate`, and ends the QEMU at the source.
 * Unless the step says otherwise, the guest is stopped on its way, so that it arrives paused. Afterwards the guest is
 * looked for at both ends. Records the result and judges nothing.
 */
export async function moveGuest(
  components: { cluster: LabCluster; places: Places; recorder: Recorder }, step: MigrateStep,
): Promise<void> {
  const { cluster, places, recorder } = components
  const { guest, to, mode = 'precopy', ends = 'completed', because } = step
  const { host: from, qemu: source } = places.require(guest)
  const isCompared = step.unattended !== true
  const arriving = await waitingFor(places, step)
  recorder.event(`${guest}: from ${from} to ${to}, ${wordOf(mode)}`)
  const beganAtMs = recorder.now()
  const outcome = await moveByAgent(cluster, {
    guest: source, from, to, mode, standstill: isCompared ? {} : undefined, words: step.words ?? [],
  })
  const move: MoveRecord = {
    guest, from, to, mode, beganAtMs, endedAtMs: recorder.now(),
    planned: { ends, isCompared, ...(because === undefined ? {} : { because }) },
    exitStatus: outcome.status, errors: outcome.errors.trim().slice(-ERRORS_CHARACTERS_KEPT),
    ...(outcome.result === undefined ? {} : { result: outcome.result }),
  }
  recorder.move(move)
  // The last line is the error; progress comes before it.
  const why = outcome.status === 0 ? '' : `: ${move.errors.split('\n').at(-1)}`
  recorder.event(`${guest}: ${outcome.result?.status ?? 'refused'}${why}`)
  if (await hasArrived(source, arriving)) {
    if (isCompared) move.comparison = await compareArrived(source, arriving)
    move.beats = await beatsOf(source, arriving)
    await places.moved(guest, to, arriving)
  } else {
    await places.end(arriving)
  }
}

/** The waiting QEMU: one that was prepared ahead, or a new one. */
async function waitingFor(places: Places, { guest, to }: MigrateStep): Promise<LabGuest> {
  const prepared = places.takeWaiting(guest, to)
  if (prepared !== undefined) return prepared
  await places.prepare(guest, to)
  return places.takeWaiting(guest, to)!
}

/**
 * Whatever the command printed: whether the guest runs at the destination, or stands still there after its source gave
 * it up.
 */
async function hasArrived(source: LabGuest, arriving: LabGuest): Promise<boolean> {
  const state = await stateIfThere(arriving)
  return state === 'running' || (state === 'paused' && await stateIfThere(source) === 'postmigrate')
}

async function beatsOf(source: LabGuest, arriving: LabGuest): Promise<NonNullable<MoveRecord['beats']>> {
  const before = source.beats()
  // An assertion finds a guest without a heartbeat.
  await arriving.moreBeats(BEATS).catch(() => undefined)
  return { before, after: arriving.beats() }
}

function wordOf(mode: MigrationMode): string {
  return mode === 'precopy' ? 'pre-copy' : 'post-copy'
}
