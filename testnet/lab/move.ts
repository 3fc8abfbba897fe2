import type { MigrationMode } from '../../src/index.ts'
import { compareMemory, moveStopping, type LabCluster, type LabGuest } from '../index.ts'
import { stateOf, type Places } from './places.ts'
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
  const migrate = () => cluster.agent(from).migrate(guest, to, '--mode', mode, ...step.words ?? [])
  const outcome = await (isCompared ? moveStopping(source, { mode }, migrate) : migrate())
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
    if (isCompared) move.comparison = await compareStanding(source, arriving)
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
  const state = await stateOf(arriving)
  return state === 'running' || (state === 'paused' && await stateOf(source) === 'postmigrate')
}

/** Compares both ends while they stand still, then resumes the guest. */
async function compareStanding(source: LabGuest, arriving: LabGuest): Promise<NonNullable<MoveRecord['comparison']>> {
  const states = [await stateOf(source), await stateOf(arriving)]
  if (states[0] !== 'postmigrate' || states[1] !== 'paused') {
    return { comparedBytes: 0, differences: [`the source is ${states[0]}, the destination ${states[1]}`] }
  }
  const { comparedBytes, differences } = await compareMemory(source, arriving)
  await arriving.qmp.execute('cont')
  return {
    comparedBytes,
    differences: differences.map(({ block, pages, firstOffset }) =>
      `${pages} pages of ${block} differ, the first at ${firstOffset}`),
  }
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
