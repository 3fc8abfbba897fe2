import {
  errorOf, LIMITS_MS, outOfTime, reasonOf, restartOutgoing, sourceGone, stepOutgoing, type CopyNews, type Facts,
  type IncomingMessage, type OutgoingEffect, type OutgoingEnding, type OutgoingEvent, type OutgoingMessage,
  type OutgoingRecordedAs, type OutgoingState, type Reason, type RunState, type Verdict,
} from '../conversation/index.ts'
import type { DriverNews, MachineDescription } from '../guest/index.ts'
import { Inventory } from '../page/index.ts'
import { linkRateOf, type KnownPublic } from '../passage/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Timer } from '../runtime/clock.ts'
import { asPagemeshError, describeError } from '../runtime/errors.ts'
import { deferred } from '../runtime/wait.ts'
import {
  Link, offeredPages, shareAtSource, takeHad, type HandoffEstimate, type HandoffResult, type Sharing,
} from '../transfer/index.ts'
import { offerGuest } from './asking.ts'
import type { OutgoingDriver } from './driver.ts'
import { LastWords } from './lastwords.ts'
import { Machine } from './machine.ts'
import { HANDOFF_VERSION, OUTGOING_LANGUAGE } from './messages.ts'
import { OutgoingChannels } from './outgoingchannels.ts'
import type { EstimateFindings, OutgoingComponents, OutgoingInit } from './outgoinginit.ts'
import { phaseOf, SourceWatch } from './sourcewatch.ts'
import { OutgoingTally } from './tally.ts'

/** States in which the stream runs. */
const SENDING: ReadonlySet<OutgoingState['at']> = new Set(['moving', 'handingOver', 'serving'])

/** Of a page in the order that only a handoff sends, not an estimate. */
const ORDER_BYTES = 2

/** The outgoing end of one handoff: carries out the effects of its conversation. */
export class Outgoing {
  readonly #components: OutgoingComponents
  readonly #init: OutgoingInit
  readonly #machine: Machine<OutgoingState, OutgoingEvent, OutgoingEffect>
  readonly #driver: OutgoingDriver
  readonly #tally: OutgoingTally
  readonly #lastWords: LastWords
  readonly #watch: SourceWatch
  readonly #askers: ((verdict: Verdict) => void)[] = []
  readonly #channels: OutgoingChannels
  #inventory: Inventory
  /** How both ends hash, once the offer is accepted. */
  #sharing: Sharing | undefined
  /** Public pages that the destination has, and that may be referred to. */
  #public: KnownPublic | undefined
  #linkBytesPerSecond: number | undefined
  #abort = new AbortController()
  #done = deferred<OutgoingEnding>()
  #ending: OutgoingEnding | undefined
  #goOn: (() => void) | undefined
  #deadline: Timer | undefined
  #link: Link<OutgoingMessage, IncomingMessage> | undefined
  #machineHere: MachineDescription | undefined
  /** Whether this resumes a cut post-copy. */
  #hasBeenCut = false

  constructor(components: OutgoingComponents, init: OutgoingInit) {
    this.#components = components
    this.#init = init
    const { guest, to, mode } = init
    this.#lastWords = new LastWords(components)
    const isLate = init.plan.kind === 'move' && init.plan.isLate === true
    this.#tally = new OutgoingTally(components, {
      guest, from: components.mesh.self.name, to, mode: isLate ? 'precopy' : mode,
    })
    this.#inventory = new Inventory(init.census)
    this.#channels = new OutgoingChannels(components, {
      ...init, bytesPerSecondMax: init.bytesPerSecondMax ?? Infinity, continuation: init.continuation,
      listener: {
        begun: () => this.#machine.send({ kind: 'begun' }),
        switchover: (runState) => this.#machine.send({ kind: 'switchover', runState }),
        handedOver: () => this.#tell({ kind: 'handedOver' }),
        failed: (reason) => this.#machine.send({ kind: 'failed', what: 'passage', reason }),
      },
    })
    this.#driver = init.createDriver((news) => this.#onNews(news))
    const parts = { driver: this.#driver, channels: this.#channels, tally: this.#tally }
    this.#watch = new SourceWatch(components, parts, (measure) => {
      init.onMeasure?.({
        ...measure, phase: phaseOf(this.state.at, this.#channels.isSwitchingOver),
        wireBytes: measure.wireBytes + this.#link!.sentBytes,
      })
    })
    this.#machine = new Machine<OutgoingState, OutgoingEvent, OutgoingEffect>(components, {
      state: { at: 'idle', plan: init.plan },
      step: stepOutgoing,
      perform: (effect) => this.#perform(effect),
      onError: (error) => components.log.error('a step of a handoff failed', { error: describeError(error) }),
      onState: ({ at }) => components.log.debug('outgoing handoff', { guest: init.guest, at }),
    })
  }

  get init(): Readonly<OutgoingInit> {
    return this.#init
  }

  get state(): OutgoingState {
    return this.#machine.state
  }

  /** Moves the guest, or resumes its cut post-copy. Never rejects: the result tells of failures. */
  async run(): Promise<HandoffResult> {
    const { timeoutMs } = this.#init
    this.#abort = new AbortController()
    this.#done = deferred()
    this.#ending = undefined
    if (timeoutMs !== undefined) {
      this.#deadline = this.#components.clock.after(timeoutMs, () => this.#timeUp(timeoutMs))
    }
    this.#watch.start(() => SENDING.has(this.state.at))
    this.#hasBeenCut = this.state.at === 'cut'
    this.#driver.rejoins = this.#hasBeenCut
    this.#machine.send({ kind: this.#hasBeenCut ? 'rejoin' : 'begin' })
    return this.#result(await this.#done.promise)
  }

  /** In post-copy, the guest is being given up, or runs at its destination. */
  get isServing(): boolean {
    const { state } = this
    return state.at === 'handingOver' || state.at === 'serving' ||
      (state.at === 'leaving' && state.cause === 'postcopy')
  }

  /** Resolves when it rests. */
  async rested(): Promise<HandoffResult> {
    return this.#result(await this.#done.promise)
  }

  /** Asks the destination which pages it has, and moves nothing. Throws where a handoff would fail. */
  async estimate(): Promise<HandoffEstimate> {
    this.#machine.send({ kind: 'begin' })
    const ending = await this.#done.promise
    const { guest, to, mode } = this.#init
    if ('reason' in ending) throw errorOf(ending.reason)
    return {
      guest, from: this.#components.mesh.self.name, to, mode, dryRun: true,
      distinctPages: this.#inventory.pageCount, pagesAtDestination: this.#inventory.known.count,
      ...(this.#sharing?.apart === undefined ? {} : { apart: this.#sharing.apart }),
    }
  }

  /** What an estimate found out beside its result. */
  get findings(): EstimateFindings {
    const { pageCount, known } = this.#inventory
    return {
      known, publicPages: this.#public, linkBytesPerSecond: this.#linkBytesPerSecond, beside: this.#driver.beside,
      exchangeBytes: (this.#link?.sentBytes ?? 0) + this.#tally.offerBytes + ORDER_BYTES * (pageCount - known.count),
    }
  }

  /** Resumes from an earlier agent process' record. Throws if QEMU's process lives but does not answer. */
  async restart(record: { as: OutgoingRecordedAs; runState: RunState }, isAlive: boolean): Promise<void> {
    const facts: Facts = isAlive ? { alive: true, ...await this.#driver.look() } : { alive: false }
    this.#machine.goOn(restartOutgoing(record, facts))
  }

  /** Asks for the end of the handoff: the source QEMU decides. */
  cancel(reason: Reason): void {
    this.#machine.send({ kind: 'cancel', reason })
  }

  #timeUp(timeoutMs: number): void {
    const { onTimeout = 'cancel' } = this.#init
    if (onTimeout === 'cancel') this.cancel(outOfTime(timeoutMs))
    else this.#machine.send({ kind: 'hasten', by: onTimeout })
  }

  /** Answers the destination's host, which reports its copy and asks for a verdict. */
  asked(copy: CopyNews): Promise<Verdict> {
    if (copy.kind === 'arrived') this.#tally.arrived(copy.summary)
    return new Promise((resolve) => {
      this.#askers.push(resolve)
      this.#machine.send({ kind: 'asked', copy })
    })
  }

  /** Ends all watching and waiting, because the agent stops or the handoff has ended. */
  async stop(): Promise<void> {
    this.#machine.stop()
    this.#rest()
    this.#driver.stop()
    await this.#driver.close()
  }

  #perform(effect: OutgoingEffect): Promise<void> | void {
    const { log } = this.#components
    switch (effect.do) {
      case 'standBack':
        this.#goOn ??= this.#init.standBack()
        return
      case 'goOn':
        this.#goOn?.()
        this.#goOn = undefined
        return
      case 'prepare': return this.#begin('prepare', this.#prepare())
      case 'offer': return this.#begin('offer', this.#offer())
      case 'greet': return this.#greet()
      case 'useBitmap': return this.#link?.heed(() => this.#useBitmap(effect.body))
      case 'addFetched': return this.#link?.heed(() => this.#channels.addKnown(this.#inventory.fetched(effect.body)))
      case 'say': return this.#say(effect.message)
      case 'start': return this.#begin('start', this.#channels.start(this.#driver, this.#abort.signal))
      case 'startPostcopy':
        this.#tally.mode = 'postcopy'
        return this.#begin('postcopy', this.#driver.startPostcopy())
      case 'allowPause': return this.#begin('pause', this.#driver.allowPause())
      case 'openChannel': return this.#begin('passage', this.#channels.open({
        hasher: this.#sharing!.hasher, known: this.#inventory.known, resumes: this.#hasBeenCut,
        linkBytesPerSecond: this.#linkBytesPerSecond,
      }, (message) => this.#say(message), this.#abort.signal))
      case 'cancelQemu': return behind(log, 'the source QEMU was not asked to give up', this.#driver.cancel())
      case 'takeBack': return behind(log, 'a guest was not taken back', this.#takeBack(effect.runState))
      case 'stopPassages': return this.#channels.stop()
      case 'closeLink': return this.#lastWords.close(this.#link, this.state, effect.reason)
      case 'closeDriver': return this.#closeDriver()
      case 'record': {
        const written = this.#init.record(effect.as, effect.runState, this.#channels.knowledge)
        return effect.isFirst ? written : behind(log, 'the record of a handoff could not be written', written)
      }
      case 'forget': return behind(log, 'the record of a handoff could not be removed', this.#init.forget())
      case 'answer': return this.#askers.shift()?.(effect.verdict)
      case 'wait': return this.#machine.wait(LIMITS_MS[effect.wait], { kind: 'late', wait: effect.wait })
      case 'deliver': return this.#deliver(effect.ending)
    }
  }

  /** Starts an effect's work; its failure becomes an event. */
  #begin(what: Extract<OutgoingEvent, { kind: 'failed' }>['what'], work: Promise<void>): void {
    behind(this.#components.log, what, work.catch((error: unknown) => {
      this.#machine.send({ kind: 'failed', what, reason: reasonOf(asPagemeshError(error)) })
    }))
  }

  async #prepare(): Promise<void> {
    this.#machineHere = await this.#driver.prepare()
    if (!this.#hasBeenCut) this.#watch.ran = await this.#driver.state()
    this.#machine.send({ kind: 'prepared' })
  }

  async #offer(): Promise<void> {
    const { mesh, clock, log, scopes } = this.#components
    const { id, guest, to, mode, plan, scope } = this.#init
    const { lane, pages, offerBytes, answerBytes } = await offerGuest(mesh, to, {
      version: HANDOFF_VERSION, id, guest, mode, machine: this.#machineHere!, beside: this.#driver.beside,
      pages: offeredPages(scope, scopes, this.#init.census !== undefined),
      plan: this.#hasBeenCut ? 'rejoin' : plan.kind,
    }, this.#abort.signal)
    this.#tally.offerBytes += offerBytes
    this.#tally.answerBytes += answerBytes
    this.#share(shareAtSource(scopes, scope, pages))
    this.#machine.send({ kind: 'accepted' })
    this.#link = new Link({ clock, log, lane: await lane }, {
      bytesPerSecondMax: this.#init.bytesPerSecondMax ?? Infinity,
      language: OUTGOING_LANGUAGE,
      onMessage: (message) => {
        if (message.kind === 'arrived') this.#tally.arrived(message.summary)
        this.#lastWords.note(message)
        // A message that was sent before this end's decision arrived is no error.
        if (this.state.at !== 'over') this.#machine.send({ kind: 'message', message })
      },
      onLost: (reason) => this.#machine.send({ kind: 'linkLost', reason }),
    })
    this.#machine.send({ kind: 'linked' })
  }

  #share(sharing: Sharing): void {
    const { apart } = sharing
    this.#sharing = sharing
    this.#tally.apart = apart
    if (apart === undefined) return
    const { guest, to } = this.#init
    this.#components.log.warn('a guest moves without references', { guest, to, reason: apart })
    this.#inventory = new Inventory(undefined)
  }

  async #greet(): Promise<void> {
    this.#link?.say({ kind: 'hello', id: this.#init.id })
    const body = await this.#inventory.encode()
    this.#link?.say({ kind: 'census', body })
  }

  async #useBitmap(body: Buffer): Promise<void> {
    this.#public = await takeHad(body, this.#sharing!, this.#inventory)
    this.#channels.setPublic(this.#public)
    // So far only the census was large, and all of it has arrived: a good measure of the link.
    this.#linkBytesPerSecond = linkRateOf(this.#link?.delivery)
    if (this.#init.plan.kind === 'move' && !this.#hasBeenCut) {
      const order = await this.#inventory.order()
      this.#link?.say({ kind: 'order', body: order })
    }
  }

  #say(message: OutgoingMessage): void {
    if (message.kind === 'givenUp') this.#tally.givenUp(message.runState)
    this.#link?.say(message)
  }

  #onNews(news: DriverNews): void {
    if (news.kind === 'qemu') this.#tell(news)
    else this.#machine.send({ kind: 'gone', wasHeard: news.wasHeard, reason: sourceGone(this.#init.guest) })
  }

  /** Sends the deciding event; if the stream did not tell the run state, sends the last one observed first. */
  #tell(event: Extract<OutgoingEvent, { kind: 'qemu' | 'handedOver' }>): void {
    const { state } = this.#machine
    const runState = this.#watch.ran
    const isUnknown = 'runState' in state && state.runState === 'unknown'
    const decides = event.kind === 'handedOver' || event.status === 'completed'
    if (isUnknown && decides && runState !== undefined) this.#machine.send({ kind: 'switchover', runState })
    this.#machine.send(event)
  }

  async #takeBack(runState: RunState): Promise<void> {
    try {
      await this.#driver.takeBack(runState)
      this.#machine.send({ kind: 'takenBack' })
    } catch (error) {
      this.#machine.send({ kind: 'notTakenBack', reason: reasonOf(asPagemeshError(error)) })
    }
  }

  async #closeDriver(): Promise<void> {
    const { state } = this
    await this.#watch.finish(state.at === 'over' && state.ending.as === 'kept')
    await this.#driver.close()
    behind(this.#components.log, 'the record of a handoff could not be updated', this.#init.onClosed())
  }

  #deliver(decided: OutgoingEnding): void {
    const isAmended = this.#ending !== undefined
    const ending = this.#lastWords.explain(decided)
    this.#ending = ending
    this.#rest()
    if (isAmended) this.#init.onAmended(this.#result(ending))
    else this.#done.resolve(ending)
  }

  #rest(): void {
    this.#deadline?.cancel()
    this.#watch.stop()
    this.#abort.abort()
  }

  #result(ending: OutgoingEnding): HandoffResult {
    const { sentBytes = 0, receivedBytes = 0 } = this.#link ?? {}
    const { counts: channels, urgentBytes } = this.#channels
    const spent = this.#components.spent()
    return this.#tally.result(ending, { sentBytes, receivedBytes, channels, urgentBytes, spent })
  }
}
