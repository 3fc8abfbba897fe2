/** One round of faults: guests move, something strikes, all is mended, and everything must be as it should. */
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

import type { ControlRequest } from '../../src/daemon/control/index.ts'
import type { HandoffResult } from '../../src/index.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import type { LabGuest } from '../../testnet/index.ts'
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

/** A move for which all is ready. */
interface Ready {
  roamer: Roamer
  plan: PlannedMove
  source: Witness
  destination: Witness
  /** Of its memory, if it stands still. */
  digest: string | undefined
  before: { source: Settings; destination: Settings }
}

/** A move that goes on. */
interface Running extends Ready, Ends {
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
  /** How the moves ended; none if they could not begin. */
  ends: string[]
  /** Time of the first move, if it completed. */
  tookMs?: number
}

/** @param usualMs how long a move takes */
export async function runRound(lab: FaultLab, { moves, strikes }: PlannedRound, usualMs: number): Promise<RoundEnd> {
  const faults: Wrong[] = []
  const prepared = await Promise.all(moves.map((plan) => prepare(lab, plan, faults)))
  const ready = prepared.filter((each) => each !== undefined)
  if (ready.length < moves.length) {
    for (const each of ready) await stay(each)
    return { faults, ends: [] }
  }
  // An agent that is struck may have part in both moves.
  const agents = new Set<string>()
  const running = ready.map((each) => begin(lab, each, agents))
  await strikeAll(lab, strikes, running[0]!, usualMs)
  const told = await Promise.all(running.map(({ told }) => told))
  const recovered = await Promise.all(running.map((move) => recover(lab, move)))
  for (const [index, words] of recovered.entries()) if (words !== undefined) told[index] = { words }
  faults.push(...(await Promise.all(running.map((move, index) => faultsAtRest(lab, move, told[index]!)))).flat())
  for (const move of running) await goOn(lab, move, faults)
  const took = told[0]!.words?.status === 'completed' ? { tookMs: told[0]!.words.totalMs } : {}
  return { faults, ends: told.map(({ words, error }) => words?.status ?? error ?? 'nothing'), ...took }
}

/** Makes all ready for a move. A QEMU that does not answer is wedged: its guest is restored. */
async function prepare(lab: FaultLab, plan: PlannedMove, faults: Wrong[]): Promise<Ready | undefined> {
  const roamer = lab.roamers[plan.guest]!
  const source = roamer.home
  try {
    return await lookBefore(roamer, plan)
  } catch (error) {
    const what = `${roamer.name} at ${source.host}, process ${source.guest.pid} (${processState(source.guest.pid)})`
    faults.push({ kind: 'wedged', what: `${what}, before it moves: ${String(error)}` })
    await roamer.restore(source.host)
    return undefined
  }
}

async function lookBefore(roamer: Roamer, plan: PlannedMove): Promise<Ready> {
  const source = roamer.home
  const to = HOSTS.filter((host) => host !== source.host)[plan.to]!
  const destination = await roamer.waiting(to)
  // Whether all had arrived tells whether the death of a QEMU may lose the guest.
  await destination.tellEvents()
  if (plan.isStill) await source.client.execute('stop')
  const digest = plan.isStill ? await memoryDigest(source.guest) : undefined
  const before = { source: await source.settings(), destination: await destination.settings() }
  return { roamer, plan, source, destination, digest, before }
}

/** The guest of a move that does not begin goes on where it is. */
async function stay({ roamer, plan, source }: Ready): Promise<void> {
  if (plan.isStill) await source.client.execute('cont')
  await roamer.settleIn(source)
}

function processState(pid: number): string {
  try {
    return /^State:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? ''
  } catch {
    return 'ended'
  }
}

function begin(lab: FaultLab, ready: Ready, agents: Set<string>): Running {
  const { roamer, plan, source, destination: { host: to } } = ready
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
  return { ...ready, guest: roamer.name, told, struck }
}

/** Resolves when all are mended, also if one of them could not strike: then it rejects. */
async function strikeAll(lab: FaultLab, strikes: readonly Strike[], move: Running, usualMs: number): Promise<void> {
  const struck = await Promise.allSettled(strikes.map((each) => strikeInTime(lab, each, move, usualMs)))
  for (const each of struck) if (each.status === 'rejected') throw each.reason
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
    if (await migrationOf(source.client) !== 'postcopy-paused') break
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
  // Killed with the guest in it, or with the only part of it that nothing else had.
  const isTaken = await isTornBefore(move) || [...struck.qemus].some(([witness, { hadArrived }]) =>
    plan.mode === 'postcopy' || (witness === destination ? hadArrived : !hadArrived))
  const [seenSource, seenDestination] = await Promise.all([
    seenOf(source, before.source, isTaken), seenOf(destination, before.destination, isTaken),
  ])
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

/**
 * The connection broke between QEMU's switch to post-copy and the end of the devices' state: the destination QEMU ends
 * by itself, and the source QEMU refuses `cont`. QEMU alone loses such a guest, too.
 */
async function isTornBefore({ source, destination, plan }: Running): Promise<boolean> {
  if (plan.mode !== 'postcopy' || destination.migration !== 'failed' || destination.spans.length > 0) return false
  return await migrationOf(source.client) === 'postcopy-paused'
}

/** What QEMU says of its migration; undefined if it knows of none, or says nothing. */
async function migrationOf(client: Witness['client']): Promise<string | undefined> {
  const { status } = await client.execute('query-migrate').catch(() => ({})) as { status?: string }
  return status
}

/** The guest's run state; `gone` if its QEMU has ended, `silent` if that does not answer. */
async function stateAt({ client }: Witness): Promise<string> {
  const state = await client.state().catch(() => 'silent')
  if (state !== 'postmigrate') return state
  const status = await migrationOf(client)
  // So QEMU calls a guest that stood still and goes on doing so where it was.
  return status === 'failed' || status === 'cancelled' ? 'paused' : state
}

/** @param isTaken the guest is lost: QEMU changes no setting while its migration could still be resumed */
async function seenOf(witness: Witness, before: Settings, isTaken: boolean): Promise<Seen> {
  const state = await stateAt(witness)
  const { host, hasArrived, wasQuit } = witness
  // It may end just now.
  const isOpen = isTaken && await migrationOf(witness.client) === 'postcopy-paused'
  const after = state === 'gone' || isOpen ? undefined : await witness.settings().catch(() => undefined)
  return { host, state, hasArrived, wasQuit, ...after === undefined ? {} : { settings: { before, after } } }
}

/** Compares the memory of a guest that stood still, where it is now, with what it was before the move. */
async function unequal({ digest, source, destination, guest }: Running): Promise<Wrong[]> {
  if (digest === undefined) return []
  for (const witness of [destination, source]) {
    const { guest: qemu, host } = witness
    if (await stateAt(witness) !== 'paused') continue
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
  const states = await Promise.all([source, destination].map(stateAt))
  const [home] = [source, destination].filter((_, index) => states[index] === lives)
  if (home === undefined || (states[0] === lives && states[1] === lives)) return await roamer.restore(source.host)
  if (plan.isStill) await home.client.execute('cont')
  await roamer.settleIn(home)
}
