import {
  destinationGone, errorOf, LIMITS_MS, reasonOf, restartIncoming, sentenceOf, stepIncoming, tornHere, undecided,
  type CopyNews, type Facts, type IncomingEffect, type IncomingEnding, type IncomingEvent, type IncomingMessage,
  type IncomingRecordedAs, type IncomingState, type IncomingSummary, type OutgoingMessage, type Reason,
  type RunState,
} from '../conversation/index.ts'
import type { DriverNews, GuestState } from '../guest/index.ts'
import type { Member, MessageStream } from '../mesh/index.ts'
import { answerPages, decodePrefixSet, type PrefixSet } from '../page/index.ts'
import { behind } from '../runtime/behind.ts'
import { asPagemeshError, describeError } from '../runtime/errors.ts'
import { deferred, withDeadline, type Deferred } from '../runtime/wait.ts'
import { answerOffer, encodeHad, Link, shareAtDestination, type Answer } from '../transfer/index.ts'
import { askVerdict } from './asking.ts'
import type { IncomingDriver } from './driver.ts'
import { IncomingChannels } from './incomingchannels.ts'
import type { IncomingComponents, IncomingInit, IncomingStatus } from './incominginit.ts'
import { Machine } from './machine.ts'
import { INCOMING_LANGUAGE, type HandoffOffer } from './messages.ts'

/** Assumed state if QEMU does not answer: in a cut post-copy a guest that waits for a page can block QMP. */
const WAITS_FOR_PAGES = { status: 'postcopy-paused', state: 'running' } as const

/** States without an open decision. */
const SETTLED: ReadonlySet<IncomingState['at']> = new Set(['telling', 'over'])

/** The incoming end of one handoff: carries out the effects of its conversation. */
export class Incoming {
  readonly #components: IncomingComponents
  readonly #init: IncomingInit
  readonly #machine: Machine<IncomingState, IncomingEvent, IncomingEffect>
  readonly #driver: IncomingDriver
  readonly #channels: IncomingChannels
  /** Abort signals of the present connection and of the whole handoff. */
  #abort = new AbortController()
  readonly #life = new AbortController()
  #rested = deferred<void>()
  #goOn: (() => void) | undefined
  #offer: { offer: HandoffOffer; stream: MessageStream; from: Member } | undefined
  /** How both ends hash. */
  #sharing: ReturnType<typeof shareAtDestination> | undefined
  #link: Link<IncomingMessage, OutgoingMessage> | undefined
  /** The source's census and this host's bitmap, kept until the order arrives. */
  #answered: { census: PrefixSet; bitmap: Uint8Array } | undefined
  #releaseMs = 0
  /** When this host began to hold an undecided copy. */
  #heldSince: number | undefined
  #ending: IncomingEnding | undefined
  #settled: Deferred<IncomingEnding> | undefined

  constructor(components: IncomingComponents, init: IncomingInit) {
    this.#components = components
    this.#init = init
    this.#channels = new IncomingChannels(components, {
      onFailed: (reason) => this.#machine.send({ kind: 'failed', what: 'passage', reason }),
    })
    this.#driver = init.createDriver((news) => this.#onNews(news))
    this.#machine = new Machine<IncomingState, IncomingEvent, IncomingEffect>(components, {
      state: { at: 'idle', plan: init.plan },
      step: stepIncoming,
      perform: (effect) => this.#perform(effect),
      onError: (error) => components.log.error('a step of a handoff failed', { error: describeError(error) }),
      onState: (state) => this.#onState(state),
    })
  }

  get init(): Readonly<IncomingInit> {
    return this.#init
  }

  get state(): IncomingState {
    return this.#machine.state
  }

  get ending(): IncomingEnding | undefined {
    return this.#ending
  }

  get status(): IncomingStatus {
    const { guest, from } = this.#init
    return { guest, from, phase: this.state.at, streamBytes: this.#channels.streamBytes }
  }

  /** For a copy that is undecided or whose QEMU does not answer: how long, and why. */
  get held(): { sinceMs: number; why: Reason } | undefined {
    const why = this.#whyHeld
    if (this.#heldSince === undefined || why === undefined) return undefined
    return { sinceMs: Math.round(this.#components.clock.now() - this.#heldSince), why }
  }

  get #whyHeld(): Reason | undefined {
    return 'why' in this.state ? this.state.why : this.#silence
  }

  /** The reason if the handoff rests without QEMU's answer. */
  get #silence(): Reason | undefined {
    return this.#ending?.as === 'unanswered' && !SETTLED.has(this.state.at) ? this.#ending.reason : undefined
  }

  /** Bytes on the wire so far. */
  get traffic(): { sentBytes: number; receivedBytes: number } {
    const { sentBytes, receivedBytes } = this.#channels.traffic
    const link = this.#link
    return { sentBytes: sentBytes + (link?.sentBytes ?? 0), receivedBytes: receivedBytes + (link?.receivedBytes ?? 0) }
  }

  /** Bytes saved: those that QEMU accepted minus those on the wire. 0 until the guest has arrived. */
  get savedBytes(): number {
    if (this.#ending?.as !== 'arrived') return 0
    const { sentBytes, receivedBytes } = this.traffic
    return this.#channels.streamBytes - sentBytes - receivedBytes
  }

  /** Receives the guest that `stream` offers, or the rest of a cut post-copy. Resolves when it rests; never rejects. */
  async run(offer: HandoffOffer, stream: MessageStream, from: Member): Promise<void> {
    this.#offer = { offer, stream, from }
    this.#abort = new AbortController()
    this.#rested = deferred()
    this.#driver.rejoins = this.state.at === 'cut'
    this.#machine.send({ kind: this.#driver.rejoins ? 'rejoin' : 'begin' })
    await this.#rested.promise
  }

  /** In post-copy, the source has given the guest up: it runs here, or will at once. */
  get isServing(): boolean {
    const { state } = this
    return (state.at === 'serving' || state.at === 'releasing') && ['coming', 'awaited'].includes(state.memory)
  }

  /** Resolves when it rests. */
  async rested(): Promise<void> {
    await this.#rested.promise
  }

  /** Resumes from an earlier agent process' record. Throws if QEMU's process lives but does not answer. */
  async restart(record: { as: IncomingRecordedAs; runState: RunState }, isAlive: boolean): Promise<void> {
    const look = (): Promise<Omit<Extract<Facts, { alive: true }>, 'alive'>> =>
      record.as === 'cut' ? this.#driver.lookOr(WAITS_FOR_PAGES) : this.#driver.look()
    this.#machine.goOn(restartIncoming(record, isAlive ? { alive: true, ...await look() } : { alive: false }))
  }

  /** Carries out the operator's decision on a held copy. Resolves to its ending; throws QEMU's refusal. */
  async settle(decision: 'run' | 'end'): Promise<IncomingEnding> {
    const { state } = this
    const isOpen = (state.at === 'holding' && state.link === 'lost') ||
      (state.at === 'cut' && state.state === undefined)
    if (state.at === 'cut' && state.isTorn) throw errorOf(tornHere())
    if (!isOpen) throw errorOf(this.#silence ?? undecided(this.#init.from))
    this.#settled = deferred()
    this.#machine.send({ kind: 'settle', decision })
    return await this.#settled.promise
  }

  /** Gives up a copy that is not whole, then ends all watching and waiting. */
  async stop(reason: Reason, patience: Promise<void>): Promise<void> {
    this.#machine.send({ kind: 'stop', reason })
    await Promise.race([this.#rested.promise, patience])
    this.#machine.stop()
    this.#life.abort(errorOf(reason))
    this.#driver.stop()
    await this.#driver.close()
  }

  #perform(effect: IncomingEffect): Promise<void> | void {
    const { log } = this.#components
    switch (effect.do) {
      case 'standBack':
        this.#goOn ??= this.#init.standBack()
        return
      case 'goOn':
        this.#goOn?.()
        this.#goOn = undefined
        return
      case 'check': return this.#begin('check', this.#check())
      case 'accept': return this.#accept()
      case 'refuse': return this.#answer({ accepted: false, ...effect.reason })
      case 'link': return this.#begin('link', this.#openLink())
      case 'answerCensus': return this.#link?.heed(() => this.#answerCensus(effect.body))
      case 'fetch': return this.#link?.heed(() => this.#fetch(effect.order))
      case 'say': return this.#link?.say(this.#withSummary(effect.message))
      case 'openChannel': {
        const { number, ticket } = effect.message
        return this.#begin(number === 0 ? 'channel' : 'passage', this.#channels.open({
          driver: this.#driver, sharing: this.#sharing!, from: this.#offer!.from, number, ticket,
        }, this.#abort.signal))
      }
      case 'release': return behind(log, 'a guest was not let run', this.#release(effect.runState))
      case 'endCopy': return behind(log, 'a copy was not ended', this.#endCopy())
      case 'stopPassages':
        this.#abort.abort()
        return this.#channels.stop()
      case 'closeLink': return this.#link?.close(effect.reason)
      case 'closeDriver': return this.#closeDriver()
      case 'record': {
        const written = this.#init.record(effect.as, effect.runState)
        return effect.isFirst ? written : behind(log, 'the record of a handoff could not be written', written)
      }
      case 'forget': return behind(log, 'the record of a handoff could not be removed', this.#init.forget())
      case 'ask': return behind(log, 'the source\'s host did not answer what became of a guest', this.#ask(effect.copy))
      case 'wait': return this.#machine.wait(LIMITS_MS[effect.wait], { kind: 'late', wait: effect.wait })
      case 'deliver': return this.#deliver(effect.ending)
      case 'dismiss': return this.#init.onDismissed()
    }
  }

  /** Starts an effect's work; its failure becomes an event. */
  #begin(what: Extract<IncomingEvent, { kind: 'failed' }>['what'], work: Promise<void>): void {
    behind(this.#components.log, what, work.catch((error: unknown) => {
      this.#machine.send({ kind: 'failed', what, reason: reasonOf(asPagemeshError(error)) })
    }))
  }

  async #check(): Promise<void> {
    const { offer } = this.#offer!
    this.#driver.beside = offer.beside
    await this.#driver.check(offer.machine, { source: this.#init.from, destination: this.#components.mesh.self.name })
    if (offer.plan === 'move') await this.#driver.prepare()
    this.#machine.send({ kind: 'checked' })
  }

  #accept(): void {
    const { guest, from } = this.#init
    const { scopes, publicPages } = this.#components
    const about = { guest, isPrivate: this.#init.isPrivate(), hasPublic: publicPages.areThere }
    const sharing = shareAtDestination(scopes, about, this.#offer!.offer.pages)
    const { apart, answer } = sharing
    this.#sharing = sharing
    if (apart !== undefined) {
      this.#components.log.warn('a guest moves without references', { guest, from, reason: apart })
    }
    this.#answer({ accepted: true, ...(answer === undefined ? {} : { pages: answer }) })
  }

  #answer(answer: Answer): void {
    behind(this.#components.log, 'an offer was not answered', answerOffer(this.#offer!.stream, answer))
  }

  async #openLink(): Promise<void> {
    const { mesh, clock, log } = this.#components
    const { offer, from } = this.#offer!
    const lane = await mesh.dialLane(from, offer.ticket, this.#abort.signal)
    this.#link = new Link({ clock, log, lane }, {
      bytesPerSecondMax: Infinity,
      language: INCOMING_LANGUAGE,
      onMessage: (message) => this.#machine.send({ kind: 'message', message }),
      onLost: (reason) => this.#machine.send({ kind: 'linkLost', reason }),
    })
    this.#machine.send({ kind: 'linked' })
  }

  async #answerCensus(body: Buffer): Promise<void> {
    const census = await decodePrefixSet(body)
    const sharing = this.#sharing!
    const { tenant } = sharing
    const bitmap = await answerPages(census, (high, low, bits) => {
      return tenant !== undefined && this.#init.has(high, low, bits, tenant)
    })
    this.#answered = { census, bitmap }
    this.#link?.say({ kind: 'bitmap', body: await encodeHad(bitmap, sharing, this.#components.publicPages) })
  }

  async #fetch(order: Buffer): Promise<void> {
    if (this.#sharing!.tenant === undefined) return
    const answered = this.#answered!
    this.#answered = undefined
    await this.#channels.fetch(answered, order, this.#init.from, (body) => this.#link?.say({ kind: 'fetched', body }))
  }

  async #release(runState: GuestState): Promise<void> {
    const { clock } = this.#components
    const begunAt = clock.now()
    try {
      const state = await this.#driver.release(runState)
      this.#releaseMs = Math.round(clock.now() - begunAt)
      this.#machine.send({ kind: 'released', state })
    } catch (error) {
      this.#machine.send({ kind: 'notReleased', reason: reasonOf(asPagemeshError(error)) })
    }
  }

  async #endCopy(): Promise<void> {
    try {
      await this.#driver.end()
      this.#machine.send({ kind: 'ended' })
    } catch (error) {
      this.#machine.send({ kind: 'notEnded', reason: reasonOf(asPagemeshError(error)) })
    }
  }

  async #closeDriver(): Promise<void> {
    await this.#driver.close()
    behind(this.#components.log, 'the record of a handoff could not be updated', this.#init.onClosed())
  }

  async #ask(copy: CopyNews): Promise<void> {
    const { mesh, clock } = this.#components
    const { id, from } = this.#init
    const question = { id, copy: this.#withSummary(copy) }
    const limits = { signal: this.#life.signal, limitMs: LIMITS_MS.ask, late: () => errorOf(undecided(from)) }
    const verdict = await withDeadline(clock, limits, (signal) => askVerdict(mesh, from, question, signal))
    this.#machine.send({ kind: 'answered', asked: copy.kind, verdict })
  }

  #onNews(news: DriverNews): void {
    this.#machine.send(news.kind === 'qemu' ? news : { kind: 'gone', reason: destinationGone(this.#init.guest) })
  }

  #onState(state: IncomingState): void {
    const { log, clock } = this.#components
    log.debug('incoming handoff', { guest: this.#init.guest, at: state.at })
    if (this.#whyHeld === undefined) this.#heldSince = undefined
    else if ('why' in state && this.#heldSince === undefined) {
      this.#heldSince = clock.now()
      this.#settled?.reject(errorOf(state.why))
      log.warn('a guest is held', { guest: this.#init.guest, from: this.#init.from, why: sentenceOf(state.why) })
    }
  }

  /** Adds the summary to a message that says that the guest has arrived. */
  #withSummary<Message extends IncomingMessage | CopyNews>(message: Message): Message {
    if (message.kind !== 'arrived') return message
    const spent = this.#components.spent()
    const summary: IncomingSummary = { ...this.#channels.summary, releaseMs: this.#releaseMs, spent }
    return { ...message, summary }
  }

  #deliver(ending: IncomingEnding): void {
    const { log, clock } = this.#components
    const { guest, from } = this.#init
    this.#ending = ending
    if (ending.as === 'unanswered') this.#heldSince ??= clock.now()
    if (ending.as === 'arrived') log.info('guest arrived', { guest, from, state: ending.state })
    else if ('reason' in ending) {
      log.warn('incoming handoff ended', { guest, from, as: ending.as, reason: sentenceOf(ending.reason) })
    }
    // A copy that is held is reported on the state change.
    const isOpen = ending.as === 'unanswered' || (ending.as === 'held' && !('why' in this.state))
    if (isOpen) this.#settled?.reject(errorOf(ending.reason))
    else if (ending.as !== 'held') this.#settled?.resolve(ending)
    this.#init.onDelivered(ending)
    this.#rested.resolve()
  }
}
