import { describeError, type HandoffResult } from '../../src/index.ts'
import {
  busiestRate, InterfaceWatch, migratePlain, MULTIFD_CHANNELS, sentBetween, waitFor, type LabGuest, type PlainMode,
} from '../index.ts'
import type { Cell, Step, WayName } from './cells.ts'
import { HOSTS, type ComparisonLab, type Mover } from './lab.ts'
import { Heartbeat, longestSilence, workRate } from './measure/heartbeat.ts'
import { processorSeconds } from './measure/processor.ts'
import type { Accounts, Sample } from './sample.ts'

/** How long a guest is watched before and after it moves, ms. */
const WATCH_MS = 2500
/** A guest without a heartbeat for this long after it arrived is lost, ms. */
const LIFE_TIMEOUT_MS = 10_000
/** Silence counts until this long after the end, ms: the guest may start before or after the end is reported. */
const SILENCE_AFTER_MS = 1000
const PEAK_WINDOW_MS = 100
const MOVE_TIMEOUT_MS = 300_000

/** A guest being moved, watched at both ends. */
interface Traveller {
  mover: Mover
  destination: LabGuest
  beats: { source: Heartbeat; destination: Heartbeat }
}

/** The result of one guest's move. */
interface Outcome {
  totalMs: number
  downtimeMs: number
  handoff?: HandoffResult
  loss?: string
}

/**
 * Makes one measurement: starts waiting QEMUs, watches the guests, moves them at once, watches the arrived ones and
 * ends them, then lets the guests run on where they were. So every measurement starts from the same place, and the
 * agents find no traces of the last one at the destination.
 */
export async function measure(lab: ComparisonLab, step: Step): Promise<Sample> {
  const { cell } = step
  const movers = await lab.prepare(cell)
  const travellers: Traveller[] = []
  try {
    for (const mover of movers) travellers.push(await setOut(lab, cell, mover))
    return await watchMove(lab, step, travellers)
  } finally {
    for (const { beats, destination } of travellers) {
      beats.source.close()
      beats.destination.close()
      await destination.stop()
    }
  }
}

async function setOut({ cluster, clock }: ComparisonLab, cell: Cell, mover: Mover): Promise<Traveller> {
  const host = cell.destination === 'similar' ? 'b' : 'c'
  const destination = await cluster.startGuest(host, { ...mover.description, incoming: true })
  const listen = ({ paths }: LabGuest): Heartbeat => new Heartbeat({ clock }, { path: paths.heartbeat })
  return { mover, destination, beats: { source: listen(mover.guest), destination: listen(destination) } }
}

async function watchMove(lab: ComparisonLab, step: Step, travellers: readonly Traveller[]): Promise<Sample> {
  const { clock } = lab
  await clock.sleep(WATCH_MS)
  const qemuPids = travellers.flatMap(({ mover, destination }) => [mover.guest.pid, destination.pid])
  const accountsBefore = await lab.accounts()
  const before = { agents: processorSeconds(lab.agentPids), qemus: processorSeconds(qemuPids) }
  const watch = new InterfaceWatch({ clock }, { pids: lab.agentPids })
  watch.start()
  const startedAt = clock.now()
  const { outcomes, failure } = await moveAll(lab, step, travellers)
  const agentSeconds = processorSeconds(lab.agentPids) - before.agents
  const qemuSeconds = processorSeconds(qemuPids) - before.qemus
  await watch.stop()
  const accounts = difference(await lab.accounts(), accountsBefore)
  const totalMs = Math.max(0, ...outcomes.map((outcome) => outcome.totalMs))
  const loss = failure === undefined ? await lossOf(lab, travellers, outcomes) : undefined
  await clock.sleep(WATCH_MS)
  const sent = sentBetween(watch.looks)
  return {
    ...step, accounts, totalMs, agentSeconds, qemuSeconds,
    wireBytes: sent.reduce((sum, bytes) => sum + bytes, 0),
    sourceBytes: sent[HOSTS.indexOf('a')]!,
    downtimeMs: Math.max(0, ...outcomes.map((outcome) => outcome.downtimeMs)),
    ...shownOutside(travellers, startedAt, startedAt + totalMs),
    peakBytesPerSecond: busiestRate(watch.looks, HOSTS.indexOf('a'), 'sentBytes', PEAK_WINDOW_MS),
    handoffs: outcomes.flatMap(({ handoff }) => (handoff === undefined ? [] : [handoff])),
    ...(loss === undefined ? {} : { loss }),
    ...(failure === undefined ? {} : { failure }),
  }
}

/** Moves all guests at once. If one fails, the others go on. */
async function moveAll(
  lab: ComparisonLab, { way, cell }: Step, travellers: readonly Traveller[],
): Promise<{ outcomes: Outcome[]; failure?: string }> {
  const settled = await Promise.allSettled(travellers.map((traveller) => moveOne(lab, way, cell, traveller)))
  const outcomes = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = settled.find((one) => one.status === 'rejected')
  return failed === undefined ? { outcomes } : { outcomes, failure: describeError(failed.reason) }
}

async function moveOne(lab: ComparisonLab, way: WayName, cell: Cell, traveller: Traveller): Promise<Outcome> {
  const { mover, destination } = traveller
  if (way.startsWith('qemu-')) {
    const mode = way.slice('qemu-'.length) as PlainMode
    // Post-copy begins at once, as with the agents.
    const { totalMs, downtimeMs, loss } = await migratePlain({
      source: mover.guest, destination, network: lab.cluster.network, mode, passesBeforePostcopy: 0,
      timeoutMs: MOVE_TIMEOUT_MS,
    })
    return { totalMs, downtimeMs, ...(loss === undefined ? {} : { loss }) }
  }
  const handoff = await lab.ask<HandoffResult>('a', {
    command: 'migrate',
    arguments: {
      guest: mover.guest.name, to: cell.destination === 'similar' ? 'b' : 'c',
      mode: way === 'pagemesh-postcopy' ? 'postcopy' : 'precopy',
      channels: way === 'pagemesh-multifd' ? MULTIFD_CHANNELS : 1,
    },
  }, MOVE_TIMEOUT_MS)
  if (handoff.status !== 'completed') throw new Error(handoff.reason ?? `the handoff ${handoff.status}`)
  if (!handoff.digestMatched) throw new Error('the destination did not write what the source read')
  if (handoff.downtimeMs === null) throw new Error('the guest did not run')
  return { totalMs: handoff.totalMs, downtimeMs: handoff.downtimeMs, handoff }
}

/** Why not all arrived guests are alive; undefined if all are. */
async function lossOf(
  { clock }: ComparisonLab, travellers: readonly Traveller[], outcomes: readonly Outcome[],
): Promise<string | undefined> {
  const told = outcomes.find(({ loss }) => loss !== undefined)?.loss
  if (told !== undefined) return told
  for (const { beats, mover } of travellers) {
    const heard = beats.destination.beats.length
    try {
      await waitFor(() => (beats.destination.beats.length > heard ? true : undefined), {
        clock, what: `a heartbeat of ${mover.guest.name} where it arrived`, timeoutMs: LIFE_TIMEOUT_MS,
      })
    } catch (error) {
      return describeError(error)
    }
  }
  return undefined
}

/** What the guests showed to the outside: the longest silence of any, and the work of the busy one. */
function shownOutside(
  travellers: readonly Traveller[], startedAt: number, endedAt: number,
): Pick<Sample, 'silenceMs' | 'usualSilenceMs' | 'work'> {
  const silence = (from: number, to: number): number => Math.max(...travellers.map(({ beats }) =>
    longestSilence([...beats.source.beats, ...beats.destination.beats], from, to)))
  const marks = travellers.flatMap(({ beats }) => [...beats.source.marks, ...beats.destination.marks])
  // The listeners take a moment to start.
  const watchedFrom = startedAt - WATCH_MS * 0.8
  const shown = {
    silenceMs: silence(startedAt, endedAt + SILENCE_AFTER_MS), usualSilenceMs: silence(watchedFrom, startedAt),
  }
  if (!marks.some(({ done }) => done > 0)) return shown
  return {
    ...shown,
    work: {
      before: workRate(marks, watchedFrom, startedAt),
      during: workRate(marks, startedAt, endedAt),
      after: workRate(marks, endedAt, endedAt + WATCH_MS),
    },
  }
}

function difference(after: Accounts, before: Accounts): Accounts {
  const accounts = { ...after }
  for (const account of Object.keys(accounts) as (keyof Accounts)[]) accounts[account] -= before[account]
  return accounts
}
