/**
 * Whether two members reach each other, both ways, asked by `pagemesh doctor`.
 *
 * Goals: what a handoff needs of the network is tried as a handoff does it. Non-goals: finding out anything about
 * other addresses. Lanes are dialed where the mesh judges that they are the member's own; beside them each side tries
 * only what the other announced, and who is asked only at the address that the member is connected from: what it
 * answers says nothing about anybody else.
 *
 *   asks                                                answers
 *    | {version: 1, ticket}                               |
 *    |--------------------------------------------------->|
 *    |   {version: 1, program, wallTimeMs, ticket}        |   at once
 *    |<---------------------------------------------------|
 *    |   both dial the lane of the other's ticket, and    |
 *    |   connect to where the other announced its mesh    |
 *    |   {lane, mesh}                                     |
 *    |<---------------------------------------------------|
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import {
  mayDial, plainHost, type LaneTicket, type Member, type Mesh, type MessageStream, type Unsubscribe,
} from '../mesh/index.ts'
import { parseTcpMultiaddr, type HostPort } from '../net/hostport.ts'
import { tryToConnect, type Attempt } from '../net/tcpprobe.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import { withDeadline } from '../runtime/wait.ts'
import { bad, encodeObject, isText, parseObject, readTicket } from '../transfer/index.ts'
import { VERSION } from './version.ts'

export const REACH_PROTOCOL = '/pagemesh/reach/1'

const CONNECT_MS_MAX = 3_000
/** Of all that is said and tried with one member. */
const REACH_MS_MAX = 15_000
/** Members that are answered at once; one more is told to ask again. */
const ANSWERS_MAX = 8
/** As many as an announcement has. */
const ATTEMPTS_MAX = 8
const WHY_LENGTH_MAX = 500

/** What one side reaches of the other: its lane port, and its mesh at each address that was tried. */
export interface Reached {
  lane: Attempt
  mesh: Attempt[]
}

/** What was found out about a member and the way to it. */
export interface PeerReach {
  host: string
  /** The multiaddr that it is connected over. */
  address: string
  /** From here to there; without `lane` where the member did not answer. */
  there: Pick<Reached, 'mesh'> & Partial<Pick<Reached, 'lane'>>
  /** From there to here, and what else the member said of itself; null: it did not answer. */
  answer: { version: string; clockDifferenceMs: number; roundTripMs: number; back: Reached } | null
  /** Why it did not answer. */
  why: string | null
}

interface Components {
  mesh: Mesh
  clock: Clock
}

/** Tries the way to a member, and has it try the way back. Never rejects. */
export async function askReach(components: Components, member: Member, signal: AbortSignal): Promise<PeerReach> {
  const { mesh, clock } = components
  const { name: host, address } = member
  const trying = placesToTry(member, mesh.announcedBy(member.peerId)).then((places) => tryMesh(clock, places))
  const late = (): Error => new Error('no answer in time')
  try {
    const { lane, ...answer } = await withDeadline(clock, { signal, limitMs: REACH_MS_MAX, late },
      (within) => converse(components, member, within))
    return { host, address, there: { mesh: await trying, lane }, answer, why: null }
  } catch (error) {
    return { host, address, there: { mesh: await trying }, answer: null, why: describeError(error) }
  }
}

async function converse(
  components: Components, member: Member, signal: AbortSignal,
): Promise<NonNullable<PeerReach['answer']> & { lane: Attempt }> {
  const { mesh, clock } = components
  const stream = await mesh.open(member.name, REACH_PROTOCOL, signal)
  try {
    const { ticket, lane } = mesh.offerLane(signal)
    // The other end says whether it was dialed.
    lane.then((dialed) => dialed.destroy(), () => undefined)
    const [begunAt, begun] = [clock.wallTime(), clock.now()]
    await stream.send(encodeObject({ version: 1, ticket }), signal)
    const first = readFirst(await stream.receive(signal))
    const roundTripMs = clock.now() - begun
    const dialed = await tryLane(mesh, member, first.ticket, signal)
    const back = readReached(await stream.receive(signal))
    const clockDifferenceMs = first.wallTimeMs - begunAt - roundTripMs / 2
    return { lane: dialed, version: first.program, clockDifferenceMs, roundTripMs, back }
  } finally {
    // All that was to be said over it was said.
    await stream.close().catch(() => undefined)
  }
}

/** Answers members that ask; returns how to end that. */
export function serveReach(components: Components): Unsubscribe {
  const server = new ReachServer(components)
  return components.mesh.handle(REACH_PROTOCOL, (stream, from) => server.answer(stream, from))
}

/** Answers some at a time. */
export class ReachServer {
  readonly #components: Components
  #answering = 0

  constructor(components: Components) {
    this.#components = components
  }

  async answer(stream: MessageStream, from: Member): Promise<void> {
    if (this.#answering >= ANSWERS_MAX) throw new PagemeshError('busy', 'Too many ask at once.', { fault: 'peer' })
    const { clock } = this.#components
    this.#answering += 1
    try {
      const signal = new AbortController().signal
      const late = (): Error => new Error('the member took too long')
      await withDeadline(clock, { signal, limitMs: REACH_MS_MAX, late }, (within) => this.#answer(stream, from, within))
    } finally {
      this.#answering -= 1
    }
  }

  async #answer(stream: MessageStream, from: Member, signal: AbortSignal): Promise<void> {
    const { mesh, clock } = this.#components
    const { version, ticket } = parseObject(await stream.receive(signal), 'bad-question')
    const asked = readTicket(ticket)
    if (version !== 1 || asked === undefined) throw bad('bad-question', 'it has no ticket of version 1')
    const own = mesh.offerLane(signal)
    // The other end says whether it was dialed.
    own.lane.then((dialed) => dialed.destroy(), () => undefined)
    const first = { version: 1, program: VERSION, wallTimeMs: clock.wallTime(), ticket: own.ticket }
    await stream.send(encodeObject(first), signal)
    const announced = mesh.announcedBy(from.peerId)
    const places = await placesToTry(from, announced, (address, own) => own.includes(address))
    const [lane, tried] = await Promise.all([tryLane(mesh, from, asked, signal), tryMesh(clock, places)])
    await stream.send(encodeObject({ lane, mesh: tried }), signal)
  }
}

/**
 * What a member announced that is its own: to be asked about only at the very host that it is connected from, for what
 * is answered is told to the member; for an operator here, wherever its lanes would be dialed.
 */
async function placesToTry(
  member: Member, announced: readonly HostPort[], judge: Judge = (address, own) => mayDial(address, own, true),
): Promise<HostPort[]> {
  const connected = parseTcpMultiaddr(member.address)?.host
  if (connected === undefined) return []
  const own = await addressesOf(connected)
  const places: HostPort[] = []
  for (const { host, port } of announced) {
    // An address, not the name: what is dialed is what was judged.
    const address = (await addressesOf(host)).find((found) => judge(found, own))
    if (address !== undefined) places.push({ host: address, port })
  }
  return places
}

type Judge = (address: string, own: readonly string[]) => boolean

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [plainHost(host)]
  // A name that nobody knows has no address.
  return (await lookup(host, { all: true }).catch(() => [])).map(({ address }) => plainHost(address))
}

async function tryMesh(clock: Clock, places: readonly HostPort[]): Promise<Attempt[]> {
  return await Promise.all(places.slice(0, ATTEMPTS_MAX).map((place) => tryToConnect(clock, place, CONNECT_MS_MAX)))
}

async function tryLane(mesh: Mesh, member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<Attempt> {
  const { address } = ticket
  try {
    const lane = await mesh.dialLane(member, ticket, signal)
    lane.destroy()
    return { address, why: null }
  } catch (error) {
    return { address, why: describeError(error).slice(0, WHY_LENGTH_MAX) }
  }
}

/** Throws PagemeshError `bad-answer`. */
export function readFirst(bytes: Uint8Array): { program: string; wallTimeMs: number; ticket: LaneTicket } {
  const { version, program, wallTimeMs, ticket } = parseObject(bytes, 'bad-answer')
  const read = readTicket(ticket)
  if (version !== 1 || !isText(program, 64) || typeof wallTimeMs !== 'number' || read === undefined) {
    throw bad('bad-answer', 'it has no version, time or ticket')
  }
  return { program, wallTimeMs, ticket: read }
}

/** Throws PagemeshError `bad-answer`. */
export function readReached(bytes: Uint8Array): Reached {
  const { lane, mesh } = parseObject(bytes, 'bad-answer')
  if (!isAttempt(lane) || !Array.isArray(mesh) || mesh.length > ATTEMPTS_MAX || !mesh.every(isAttempt)) {
    throw bad('bad-answer', 'it does not say what was reached')
  }
  return { lane: copyOf(lane), mesh: mesh.map(copyOf) }
}

function isAttempt(value: unknown): value is Attempt {
  const { address, why } = (value ?? {}) as Record<string, unknown>
  return isText(address, 255) && (why === null || isText(why, WHY_LENGTH_MAX))
}

function copyOf({ address, why }: Attempt): Attempt {
  return { address, why }
}
