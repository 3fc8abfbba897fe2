/** One round of faults: guests move, something strikes, all is mended, and everything must be as it should. */
import { setTimeout } from 'node:timers/promises'

import type { ControlRequest } from '../../src/daemon/control/index.ts'
import type { HandoffResult } from '../../src/index.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { stateOf, type LabGuest } from '../../testnet/index.ts'
import { memoryDigest } from '../support/memorydigest.ts'
import { judge, type FaultKind, type Observation, type Seen } from '../support/verdict.ts'
import { overlapMs, type Settings, type Witness } from '../support/witness.ts'
import { HOSTS, type FaultLab } from './lab.ts'
import type { PlannedMove, PlannedRound, Strike } from './plan.ts'
import type { Roamer } from './roamer.ts'
import { strike, type Ends, type Mend } from './strikes.ts'

/** After all is mended, until everything must be at rest. */
const REST_MS_MAX = 60_000
/** After this time words and settings do not change any more. */
const WORDS_MS_MAX = 4000
const LOOK_EVERY_MS = 100
const READS_MAX = 4
const RECOVER_TRIES = 5
const RECOVER_PAUSE_MS = 1000
const EXITS = { completed: 0, failed: 1, cancelled: 130 } as const
const MAY_END = ['completed', 'failed', 'cancelled'] as const

/** What may be wrong after a round. */
export type WrongKind = FaultKind | 'unequal' | 'leftBehind'

export interface Wrong {
  kind: WrongKind
  what: string
}

/** A move that goes on. */
interface Running extends Ends {
  roamer: Roamer
  plan: PlannedMove
  /** Of its memory, if it stands still. */
  digest: string | undefined
  before: { source: Settings; destination: Settings }
  told: Promise<Told>
}

/** What was heard of a move. */
interface Told {
  words?: HandoffResult
  /** Why nothing was heard. */
  error?: string
}

export interface RoundEnd {
  faults: Wrong[]
  /** How the moves ended. */
  ends: string[]
  /** Time of the first move, if it completed. */
  tookMs?: number
}

/** @param usualMs how long a move takes */
export async function runRound(lab: FaultLab, { moves, strikes }: PlannedRound, usualMs: number): Promise<RoundEnd> {
  // An agent that is struck may have part in both moves.
  const agents = new Set<string>()
  const running = await Promise.all(moves.map((plan) => begin(lab, plan, agents)))
  await Promise.all(strikes.map((each) => strikeInTime(lab, each, running[0]!, usualMs)))
  const told = await Promise.all(running.map(({ told }) => told))
  const recovered = await Promise.all(running.map((move) => recover(lab, move)))
  for (const [index, words] of recovered.entries()) if (words !== undefined) told[index] = { words }
  const faults = (await Promise.all(running.map((move, index) => faultsAtRest(lab, move, told[index]!)))).flat()
  for (const move of running) await goOn(lab, move, faults)
  const took = told[0]!.words?.status === 'completed' ? { tookMs: told[0]!.words.totalMs } : {}
  return { faults, ends: told.map(({ words, error }) => words?.status ?? error ?? 'nothing'), ...took }
}

async function begin(lab: FaultLab, plan: PlannedMove, agents: Set<string>): Promise<Running> {
  const roamer = lab.roamers[plan.guest]!
  const source = roamer.home
  const to = HOSTS.filter((host) => host !== source.host)[plan.to]!
  const destination = await roamer.waiting(to)
  // Whether all had arrived tells whether the death of a QEMU may lose the guest.
  await destination.tellEvents()
  if (plan.isStill) await source.client.execute('stop')
  const digest = plan.isStill ? await memoryDigest(source.guest) : undefined
  const before = { source: await source.settings(), destination: await destination.settings() }
  const how = `${plan.mode}${plan.isStill ? ', still' : ''}`
  lab.trace.add('operator', `migrate ${roamer.name} from ${source.host} to ${to} (${how})`)
  const request: ControlRequest = { command: 'migrate', arguments: { guest: roamer.name, to, mode: plan.mode } }
  const told = lab.ask<HandoffResult>(source.host, request).then((words): Told => {
    const { status, code, reason, arrivedState, downtimeMs } = words
    lab.trace.add('operator', `${roamer.name}: ${JSON.stringify({ status, code, reason, arrivedState, downtimeMs })}`)
    return { words }
  }, (error: unknown): Told => {
    lab.trace.add('operator', `${roamer.name}: ${String(error)}`)
    return { error: error instanceof PagemeshError ? error.code : String(error) }
  })
  const struck = { agents, qemus: new Map<Witness, { hadArrived: boolean }>() }
  return { roamer, plan, guest: roamer.name, source, destination, digest, before, told, struck }
}

async function strikeInTime(lab: FaultLab, planned: Strike, move: Running, usualMs: number): Promise<void> {
  await setTimeout(Math.max(0, planned.at * usualMs))
  const mend: Mend = await strike(lab, planned, move)
  await setTimeout(planned.lengthMs)
  await mend()
  lab.trace.add('strike', `${planned.kind} is mended`)
}

/** A post-copy whose connections broke waits for its operator; returns what he was told at last. */
async function recover(lab: FaultLab, { plan, source, guest }: Running): Promise<HandoffResult | undefined> {
  let last: HandoffResult | undefined
  for (let tries = 0; plan.mode === 'postcopy' && tries < RECOVER_TRIES; tries++) {
    const { status } = await source.client.execute('query-migrate').catch(() => ({})) as { status?: string }
    if (status !== 'postcopy-paused') break
    lab.trace.add('operator', `recover ${guest}`)
    const said = await lab.ask<HandoffResult>(source.host, { command: 'recover', arguments: { guest } })
      .then((words) => {
        last = words
        return `${words.status} ${words.reason ?? ''}`
      }, String)
    lab.trace.add('operator', `recover: ${said}`)
    await setTimeout(RECOVER_PAUSE_MS)
  }
  return last
}

/** Polls until nothing is wrong; what is still wrong at the end is returned. */
async function faultsAtRest(lab: FaultLab, move: Running, told: Told): Promise<Wrong[]> {
  const startedAt = performance.now()
  for (;;) {
    const faults = judge(await observe(lab, move, told))
    const isSaid = faults.every(({ kind }) => kind === 'wrongWords' || kind === 'settingsLeft')
    const limitMs = faults.length === 0 ? 0 : isSaid ? WORDS_MS_MAX : REST_MS_MAX
    if (performance.now() - startedAt >= limitMs) return [...faults, ...await unequal(move)]
    await setTimeout(LOOK_EVERY_MS)
  }
}

async function observe(lab: FaultLab, move: Running, { words, error }: Told): Promise<Observation> {
  const { guest, source, destination, before, struck, plan } = move
  const [seenSource, seenDestination] = await Promise.all([
    seenOf(source, before.source), seenOf(destination, before.destination),
  ])
  // Killed with the guest in it, or with the only part of it that nothing else had.
  const isTaken = [...struck.qemus].some(([witness, { hadArrived }]) => plan.mode === 'postcopy' ||
    (witness === destination ? hadArrived : !hadArrived))
  const isUnheard = struck.qemus.size > 0 && isTaken ||
    words === undefined && (struck.agents.has(source.host) || error === 'guest-unknown')
  const agents = await Promise.all(HOSTS.map(async (host) => {
    const status = await lab.agent(host).status().catch(() => undefined)
    return [host, status && { handoffs: status.handoffs.length, held: status.held }] as const
  }))
  return {
    guest, source: seenSource, mayEnd: MAY_END, agents: Object.fromEntries(agents), mayBeLost: isTaken,
    destination: isTaken ? { ...seenDestination, hasArrived: false } : seenDestination,
    overlapMs: overlapMs(source.spans, destination.spans), lives: plan.isStill ? 'paused' : 'running',
    move: isUnheard ? 'unheard' : error === 'timeout' ? undefined
      : words === undefined ? { exit: 1, words: undefined } : { exit: EXITS[words.status], words },
  }
}

async function seenOf(witness: Witness, before: Settings): Promise<Seen> {
  // A QEMU that does not answer counts as gone.
  const state = await witness.client.state().catch(() => 'silent')
  const { host, hasArrived, wasQuit } = witness
  // It may end just now.
  const after = state === 'gone' ? undefined : await witness.settings().catch(() => undefined)
  return { host, state, hasArrived, wasQuit, ...after === undefined ? {} : { settings: { before, after } } }
}

/** Compares the memory of a guest that stood still, where it is now, with what it was before the move. */
async function unequal({ digest, source, destination, guest }: Running): Promise<Wrong[]> {
  if (digest === undefined) return []
  for (const { guest: qemu, host } of [destination, source]) {
    if (await stateOf(qemu).catch(() => 'gone') !== 'paused') continue
    if (await hasDigest(qemu, digest)) return []
    return [{ kind: 'unequal', what: `the memory of ${guest} at ${host} is not what it was before the move` }]
  }
  return []
}

/** A page that the kernel is moving looks absent for a moment: a true difference stays. */
async function hasDigest(guest: LabGuest, digest: string): Promise<boolean> {
  for (let again = 0; again < READS_MAX; again++) {
    if (await memoryDigest(guest) === digest) return true
    await setTimeout(LOOK_EVERY_MS)
  }
  return false
}

/** The guest goes on where it is; what is broken is repaired, so that every round is independent. */
async function goOn(lab: FaultLab, move: Running, faults: readonly Wrong[]): Promise<void> {
  const { roamer, source, destination, plan } = move
  if (faults.some(({ kind }) => kind === 'wedged')) await lab.restartAgents()
  const lives = plan.isStill ? 'paused' : 'running'
  const states = await Promise.all([source, destination].map(({ client }) => client.state().catch(() => 'silent')))
  const [home] = [source, destination].filter((_, index) => states[index] === lives)
  if (home === undefined || (states[0] === lives && states[1] === lives)) return await roamer.restore(source.host)
  if (plan.isStill) await home.client.execute('cont')
  await roamer.settleIn(home)
}
