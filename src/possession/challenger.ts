import { hasBit } from '../bytes/bits.ts'
import type { Member, Mesh, MessageStream, Standing, StreamTraffic } from '../mesh/index.ts'
import { PAGE_BYTES } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { withDeadline } from '../runtime/wait.ts'
import type { HeldBatch, PossessionCounts } from './api.ts'
import {
  badPossession, decodeAnswer, encodeChallenge, NONCE_BYTES, POSSESSION_PROTOCOL, type Prover,
} from './proof.ts'
import type { ProvenPages } from './provenpages.ts'

/** A host that did not answer is not challenged again for this long, ms. */
const REST_MS = 10_000
/** An idle stream is closed after this long, ms. */
const IDLE_MS = 10_000
/** After this many challenged pages, a host that proved fewer than an eighth of them is no longer asked. */
const DOUBT_PAGES = 1024
const DOUBT_SHARE = 1 / 8

export interface ChallengerComponents {
  mesh: Mesh
  clock: Clock
  random: Random
  log: Log
  standing: Standing
  prover: Prover
  proven: ProvenPages
  traffic: StreamTraffic
  counts: PossessionCounts
}

export interface Question {
  pages: HeldBatch
  /** Which of the pages to ask about, by index, and which of these the host is said to hold. */
  places: readonly number[]
  isNamed: (place: number) => boolean
  limitMs: number
  /** Aborts when nobody waits for the proofs any more; the memory of the pages may then be reused. */
  signal: AbortSignal
}

/** Challenges one other host, one challenge at a time, over a stream that stays open while it is used. */
export class Challenger {
  readonly member: Member
  readonly #components: ChallengerComponents
  readonly #signal: AbortSignal
  #turn: Promise<void> = Promise.resolve()
  #stream: MessageStream | undefined
  #usedAt: number
  #restsUntil = -Infinity
  #named = 0
  #kept = 0
  #isDoubted = false

  /** @param signal aborts when this host stops. An asker of pages that goes away does not end the stream. */
  constructor(components: ChallengerComponents, member: Member, signal: AbortSignal) {
    this.#components = components
    this.member = member
    this.#signal = signal
    this.#usedAt = components.clock.now()
  }

  get mayBeAsked(): boolean {
    const { clock, standing } = this.#components
    return !this.#isDoubted && clock.now() >= this.#restsUntil && standing.isTrusted(this.member.peerId)
  }

  /** Resolves when the host has answered or failed to; its proofs are recorded. Never rejects. */
  ask(question: Question): Promise<void> {
    this.#turn = this.#turn.then(() => this.#ask(question)).catch((error: unknown) => this.#fail(error))
    return this.#turn
  }

  /** Restarts the count of proved pages: a guest that left is no lie. */
  forgive(): void {
    this.#named = 0
    this.#kept = 0
    this.#isDoubted = false
  }

  closeIfIdle(): void {
    if (this.#components.clock.now() - this.#usedAt >= IDLE_MS) this.close()
  }

  close(): void {
    // A stream that breaks while it closes counts as closed.
    void this.#stream?.close().catch(() => undefined)
    this.#stream = undefined
  }

  async #ask(question: Question): Promise<void> {
    const { clock, proven } = this.#components
    const { pages, limitMs, signal: over } = question
    const signal = this.#signal
    const { peerId } = this.member
    // Another want may have asked about the same pages meanwhile.
    const places = question.places.filter((place) => !proven.has(peerId, pages.high[place]!, pages.low[place]!))
    if (places.length === 0 || over.aborted || !this.mayBeAsked) return
    const late = (): Error => new Error('no answer in time')
    await withDeadline(clock, { signal, limitMs, late }, (within) => this.#exchange({ ...question, places }, within))
  }

  async #exchange({ pages, places, isNamed, signal: over }: Question, signal: AbortSignal): Promise<void> {
    const { mesh, random, traffic, prover } = this.#components
    this.#usedAt = this.#components.clock.now()
    const stream = this.#stream ??= await mesh.open(this.member.name, POSSESSION_PROTOCOL, signal)
    const nonce = random.bytes(NONCE_BYTES)
    const prefixes = {
      count: places.length,
      high: Uint32Array.from(places, (place) => pages.high[place]!),
      low: Uint32Array.from(places, (place) => pages.low[place]!),
    }
    await traffic.send(stream, encodeChallenge({ nonce, prefixes }), signal)
    const { bitmap, proof } = decodeAnswer(await traffic.receive(stream, signal), places.length)
    if (over.aborted) return
    const offsets = places.map((place) => place * PAGE_BYTES)
    const context = { nonce, challengerPeerId: mesh.self.peerId, witnessPeerId: this.member.peerId }
    if (!prover.isProof(proof, context, bitmap, pages.bytes, offsets)) {
      this.#components.counts.wrong += 1
      throw badPossession('a proof is wrong')
    }
    for (let i = 0; i < places.length; i++) this.#note(pages, places[i]!, hasBit(bitmap, i), isNamed(places[i]!))
    this.#judge()
  }

  #note({ high, low }: HeldBatch, place: number, isProven: boolean, isNamed: boolean): void {
    const { proven, counts } = this.#components
    if (isProven) {
      proven.add(this.member.peerId, high[place]!, low[place]!)
      counts.proven += 1
    }
    if (!isNamed) return
    this.#named += 1
    if (isProven) this.#kept += 1
    else counts.missing += 1
  }

  /** A host that proves next to nothing of what it is said to hold is not challenged again in this interval. */
  #judge(): void {
    if (this.#isDoubted || this.#named < DOUBT_PAGES || this.#kept >= this.#named * DOUBT_SHARE) return
    this.#isDoubted = true
    this.#components.log.warn('a host does not prove the pages that it is said to hold', {
      host: this.member.name, named: this.#named, proven: this.#kept,
    })
  }

  #fail(error: unknown): void {
    const { clock, log, standing } = this.#components
    const { name, peerId } = this.member
    this.#stream?.abort(error instanceof Error ? error : new Error(String(error)))
    this.#stream = undefined
    this.#restsUntil = clock.now() + REST_MS
    if (error instanceof PagemeshError && error.code === 'bad-possession') {
      standing.fault(peerId, 1)
      log.warn('a host claims pages with a wrong proof', { host: name, error: describeError(error) })
    } else {
      log.debug('a host did not prove what it holds', { host: name, error: describeError(error) })
    }
  }
}
