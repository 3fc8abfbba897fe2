import type { Lane, Member, Mesh, MessageStream } from '../mesh/index.ts'
import type { Prefixes } from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { deferred, type Deferred } from '../runtime/wait.ts'
import type { Account } from './account.ts'
import type { SwapPurpose } from './api.ts'
import { badSwap } from './badswap.ts'
import { AnswerReader, decodeAnswer, type Answer } from './frames.ts'
import { decodeHolderMessage, encodeHello, encodeWant, SWAP_PROTOCOL } from './wire.ts'

/** A holder that owes an answer and sends nothing for this long has stalled, ms. */
const STALL_MS: Readonly<Record<SwapPurpose, number>> = { handoff: 2_000, placement: 10_000 }
/** An answer may take this many times as long in all, however steadily it trickles. */
const ANSWER_STALLS_MAX = 4
const LOOK_MS = 250
/** Remembered wants whose answer may have crossed the holder's `shut`; the oldest are dropped. */
const DROPPED_MAX = 16

const NONSENSE = new Set(['bad-swap', 'message-too-long'])

/** The outcome of a want: an answer, or the holder paused its answers, or the session broke. */
export type Outcome = (Answer & { bodyBytes: number }) | { status: 'shut' } | { status: 'broken' }

/** How a session ended: this host closed it, it broke, the holder stalled before or within an answer, or lied. */
export type SessionEnd = 'closed' | 'lost' | 'stalled' | 'stalledMidway' | 'nonsense'

interface Pending {
  outcome: Deferred<Outcome>
  count: number
  askedAt: number
}

interface Components {
  mesh: Mesh
  clock: Clock
  account: Account
}

interface Init {
  holder: Member
  purpose: SwapPurpose
  /** The holder pauses its answers, or resumes. */
  onShut: () => void
  /** An answer that nobody waits for any more: the holder had sent `shut` after the want. */
  onStray: (bodyBytes: number) => void
  /** Called once, when the session is over. */
  onOver: (end: SessionEnd) => void
}

/** The asking end of one session with one holder. Opens by itself; never rejects. */
export class AskingSession {
  readonly #components: Components
  readonly #init: Init
  readonly #abort = new AbortController()
  readonly #pending = new Map<number, Pending>()
  /** Wants that were under way at the holder's `shut`: an answer may still come. */
  readonly #dropped = new Set<number>()
  readonly #stream: Promise<MessageStream>
  readonly #onStream = new AnswerReader((body) => this.#onAnswer(body))
  #onLane: AnswerReader | undefined
  #lane: Lane | undefined
  #hasTicket = false
  #sequence = 0
  #heardAt: number
  #usedAt: number
  #watch: Timer | undefined
  #isShut = false
  #isOver = false

  constructor(components: Components, init: Init) {
    this.#components = components
    this.#init = init
    this.#heardAt = this.#usedAt = components.clock.now()
    this.#stream = this.#open()
    this.#stream.catch(() => this.#break('lost'))
  }

  /** The holder pauses its answers: nothing may be asked. */
  get isShut(): boolean {
    return this.#isShut
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Wants under way. */
  get wants(): number {
    return this.#pending.size
  }

  /** How long nothing was asked or expected, ms; while a holder pauses, its `open` is expected. */
  get idleMs(): number {
    return this.#pending.size > 0 || this.#isShut ? 0 : this.#components.clock.now() - this.#usedAt
  }

  async ask(prefixes: Prefixes): Promise<Outcome> {
    if (this.#isOver) return { status: 'broken' }
    if (this.#isShut) return { status: 'shut' }
    const sequence = ++this.#sequence
    const outcome = deferred<Outcome>()
    const now = this.#components.clock.now()
    if (this.#pending.size === 0) this.#heardAt = now
    this.#pending.set(sequence, { outcome, count: prefixes.count, askedAt: now })
    this.#usedAt = now
    this.#watch ??= this.#components.clock.every(LOOK_MS, () => this.#look())
    this.#stream.then((stream) => this.#components.account.send(stream, encodeWant(sequence, prefixes)))
      .catch(() => this.#break('lost'))
    return await outcome.promise
  }

  /** Closes the session cleanly; wants under way are lost. */
  async close(): Promise<void> {
    // A stream that never opened needs no closing: the constructor has ended the session.
    const stream = await this.#stream.catch(() => undefined)
    this.#break('closed')
    // A stream that breaks while it closes counts as closed.
    await stream?.close().catch(() => undefined)
  }

  async #open(): Promise<MessageStream> {
    const { mesh, account } = this.#components
    const { holder, purpose } = this.#init
    const stream = await mesh.open(holder.name, SWAP_PROTOCOL, this.#abort.signal)
    try {
      await account.send(stream, encodeHello(purpose), this.#abort.signal)
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
    // Never rejects: an error ends the session.
    void this.#listen(stream)
    return stream
  }

  async #listen(stream: MessageStream): Promise<void> {
    try {
      for (;;) this.#hear(await this.#components.account.receive(stream, this.#abort.signal))
    } catch (error) {
      const isNonsense = error instanceof PagemeshError && NONSENSE.has(error.code)
      this.#break(isNonsense ? 'nonsense' : 'lost')
      // A stream that breaks while it closes counts as closed.
      if (!isNonsense) await stream.close().catch(() => undefined)
    }
  }

  #hear(bytes: Uint8Array): void {
    this.#heardAt = this.#components.clock.now()
    const message = decodeHolderMessage(bytes)
    if (message.kind === 'slice') this.#onStream.push(message.bytes)
    else if (message.kind === 'lane') {
      if (this.#hasTicket) throw badSwap('a second lane is offered')
      this.#hasTicket = true
      // Never rejects: without a lane the stream goes on.
      void this.#dial(message.ticket)
    } else this.#setShut(message.kind === 'shut')
  }

  /** Dials the lane that the holder offers; if that fails, answers stay on the stream. */
  async #dial(ticket: Parameters<Mesh['dialLane']>[1]): Promise<void> {
    const { mesh, account } = this.#components
    let lane: Lane
    try {
      lane = await mesh.dialLane(this.#init.holder, ticket, this.#abort.signal)
    } catch {
      // Answers go on over the stream, without a lane.
      return
    }
    account.watch(lane)
    if (this.#isOver) {
      lane.destroy()
      return
    }
    this.#lane = lane
    this.#onLane = new AnswerReader((body) => this.#onAnswer(body))
    // `closed` never rejects.
    void lane.closed.then(() => this.#break('lost'))
    lane.receive((bytes) => {
      if (this.#isOver) return
      this.#heardAt = this.#components.clock.now()
      try {
        this.#onLane!.push(bytes)
      } catch {
        // Not a frame: the holder breaks the protocol.
        this.#break('nonsense')
      }
    })
  }

  #onAnswer(body: Buffer): void {
    const answer = decodeAnswer(body)
    const pending = this.#pending.get(answer.sequence)
    if (pending === undefined) {
      if (!this.#dropped.delete(answer.sequence)) throw badSwap('an answer comes that nobody asked for')
      this.#init.onStray(body.length)
      return
    }
    if (answer.status === 'pages' && answer.count !== pending.count) throw badSwap('an answer is to another want')
    this.#settle(answer.sequence, { ...answer, bodyBytes: body.length })
  }

  #setShut(isShut: boolean): void {
    this.#isShut = isShut
    if (isShut) {
      for (const sequence of [...this.#pending.keys()]) {
        this.#dropped.add(sequence)
        this.#settle(sequence, { status: 'shut' })
      }
      for (const sequence of this.#dropped) if (this.#dropped.size > DROPPED_MAX) this.#dropped.delete(sequence)
    }
    this.#init.onShut()
  }

  #settle(sequence: number, outcome: Outcome): void {
    const pending = this.#pending.get(sequence)
    this.#pending.delete(sequence)
    this.#usedAt = this.#components.clock.now()
    if (this.#pending.size === 0) {
      this.#watch?.cancel()
      this.#watch = undefined
    }
    pending?.outcome.resolve(outcome)
  }

  #look(): void {
    const now = this.#components.clock.now()
    const stallMs = STALL_MS[this.#init.purpose]
    const [oldest] = this.#pending.values()
    if (oldest === undefined) return
    const isSilent = now - this.#heardAt >= stallMs
    if (!isSilent && now - oldest.askedAt < stallMs * ANSWER_STALLS_MAX) return
    const isMidway = this.#onStream.isMidway || this.#onLane?.isMidway === true
    this.#break(isMidway ? 'stalledMidway' : 'stalled')
  }

  #break(end: SessionEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#lane?.destroy()
    for (const sequence of [...this.#pending.keys()]) this.#settle(sequence, { status: 'broken' })
    const reason = new Error('the session is over')
    this.#abort.abort(reason)
    const isCut = end !== 'closed' && end !== 'lost'
    // The stream is broken too, unless it was closed cleanly, is gone already, or never opened.
    void this.#stream.then((stream) => { if (isCut) stream.abort(reason) }, () => undefined)
    this.#init.onOver(end)
  }
}
