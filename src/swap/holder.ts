import type { Member, Mesh, MessageStream, Standing } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { withDeadline } from '../runtime/wait.ts'
import type { Account } from './account.ts'
import type { SwapPurpose } from './api.ts'
import { badSwap } from './badswap.ts'
import type { ProactiveCap } from './cap.ts'
import { HoldingSession, type Want } from './holdingsession.ts'
import { LIMITS } from './limits.ts'
import type { PageReading } from './reading.ts'
import { decodeAskerMessage } from './wire.ts'

/** How long an asker may take to send its hello, ms. */
const HELLO_TIMEOUT_MS = 10_000

interface Components {
  mesh: Mesh
  clock: Clock
  log: Log
  standing: Standing
  reading: PageReading
  cap: ProactiveCap
  accounts: Readonly<Record<SwapPurpose, Account>>
  onServed: (member: Member, pages: number) => void
}

/** Answers the wants of other members: those for arriving guests first, and the sessions in turn. */
export class Holder {
  readonly #components: Components
  /** The session answered last is last. */
  readonly #sessions = new Set<HoldingSession>()
  readonly #callers = new Map<string, number>()
  readonly #inHand: Record<SwapPurpose, number> = { placement: 0, handoff: 0 }

  constructor(components: Components) {
    this.#components = components
  }

  /** Serves one session until the asker ends it. Rejects when it breaks. */
  async serve(stream: MessageStream, from: Member, signal: AbortSignal): Promise<void> {
    const { standing } = this.#components
    const calls = this.#callers.get(from.name) ?? 0
    if (!standing.isTrusted(from.peerId)) throw refused('it has lost its standing')
    if (calls >= LIMITS.sessionsPerMember || this.#sessions.size >= LIMITS.sessions) throw refused('too many sessions')
    this.#callers.set(from.name, calls + 1)
    const over = new AbortController()
    const follow = (): void => over.abort(signal.reason)
    signal.addEventListener('abort', follow, { once: true })
    try {
      await this.#serve(stream, from, over.signal)
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'bad-swap') standing.fault(from.peerId, 1)
      throw error
    } finally {
      signal.removeEventListener('abort', follow)
      over.abort(new Error('the session is over'))
      const left = this.#callers.get(from.name)! - 1
      if (left === 0) this.#callers.delete(from.name)
      else this.#callers.set(from.name, left)
    }
  }

  /** This host pauses, or resumes: all sessions that are not urgent are told. */
  setShut(isShut: boolean): void {
    for (const session of this.#sessions) {
      // A session that cannot send this is over, or will be.
      if (session.purpose === 'placement') session.setShut(isShut).catch(() => undefined)
    }
  }

  async #serve(stream: MessageStream, from: Member, signal: AbortSignal): Promise<void> {
    const { mesh, clock, cap, accounts } = this.#components
    const purpose = await this.#greet(stream, signal)
    const account = accounts[purpose]
    const session = new HoldingSession({ mesh, clock, cap, account }, { stream, from, purpose, signal })
    this.#sessions.add(session)
    try {
      if (purpose === 'placement' && cap.isHeld) await session.setShut(true)
      for (;;) this.#onWant(session, await account.receive(stream, signal))
    } finally {
      this.#sessions.delete(session)
      session.end()
    }
  }

  async #greet(stream: MessageStream, signal: AbortSignal): Promise<SwapPurpose> {
    const late = (): Error => refused('it sent no hello in time')
    return await withDeadline(this.#components.clock, { signal, limitMs: HELLO_TIMEOUT_MS, late }, async (within) => {
      const bytes = await stream.receive(within)
      const message = decodeAskerMessage(bytes)
      if (message.kind !== 'hello') throw badSwap('its first message is no hello')
      this.#components.accounts[message.purpose].countReceived(bytes)
      return message.purpose
    })
  }

  #onWant(session: HoldingSession, bytes: Uint8Array): void {
    const message = decodeAskerMessage(bytes)
    if (message.kind !== 'want') throw badSwap('it sends a second hello')
    const { sequence, prefixes } = message
    if (!session.accepts(sequence)) throw badSwap('a sequence comes twice')
    if (!this.#components.standing.isTrusted(session.from.peerId)) throw refused('it has lost its standing')
    // The asker has not read `shut` yet.
    if (session.isShut) return
    const isFull = session.wants.length + session.answering >= LIMITS.wantsPerSession
    if (isFull || this.#queuedPages(session.purpose) >= this.#queuedPagesMax(session.purpose)) {
      if (session.refusing >= LIMITS.refusalsPerSession) throw refused('it asks without reading answers')
      // Never rejects: a session that cannot send it is over, or will be.
      void session.refuse(sequence)
      return
    }
    session.wants.push({ sequence, prefixes })
    this.#answerMore()
  }

  #queuedPages(purpose: SwapPurpose): number {
    let pages = 0
    for (const session of this.#sessions) {
      if (session.purpose !== purpose) continue
      for (const { prefixes } of session.wants) pages += prefixes.count
    }
    return pages
  }

  /** Queued answers must be sent before their askers time out: later askers are refused at once, and ask elsewhere. */
  #queuedPagesMax(purpose: SwapPurpose): number {
    return purpose === 'handoff' ? LIMITS.queuedPages : LIMITS.queuedPieces * this.#components.cap.pagesPerWant
  }

  #answerMore(): void {
    for (;;) {
      const session = this.#nextFor('handoff', LIMITS.answersInHand) ??
        this.#nextFor('placement', LIMITS.placementAnswersInHand)
      if (session === undefined) return
      this.#sessions.delete(session)
      this.#sessions.add(session)
      // Never rejects: a failed answer is logged and refused.
      void this.#answer(session, session.wants.shift()!)
    }
  }

  #nextFor(purpose: SwapPurpose, inHandMax: number): HoldingSession | undefined {
    const { handoff, placement } = this.#inHand
    if (this.#inHand[purpose] >= inHandMax || handoff + placement >= LIMITS.answersInHand) return undefined
    for (const session of this.#sessions) {
      const isReady = session.wants.length > 0 && session.answering < LIMITS.answersPerSession
      if (isReady && session.purpose === purpose) return session
    }
    return undefined
  }

  /** Reads and sends one answer; never rejects. */
  async #answer(session: HoldingSession, want: Want): Promise<void> {
    const { reading, onServed, log } = this.#components
    this.#inHand[session.purpose] += 1
    session.answering += 1
    try {
      const pages = await reading.read(want.prefixes, {
        asker: session.from, isUrgent: session.purpose === 'handoff', signal: session.signal,
      })
      if (await session.answer(want, pages)) onServed(session.from, pages.count)
    } catch (error) {
      if (!session.signal.aborted) {
        log.warn('pages for another host could not be read or sent', { error: describeError(error) })
        // Never rejects, as above.
        void session.refuse(want.sequence)
      }
    } finally {
      this.#inHand[session.purpose] -= 1
      session.answering -= 1
      this.#answerMore()
    }
  }
}

function refused(why: string): PagemeshError {
  return new PagemeshError('swap-refused', `A host that asks for pages is not served: ${why}.`, {
    fault: 'peer', phase: 'swap',
  })
}
