import { sentenceOf, type Reason, type SpentBytes } from '../conversation/index.ts'
import type { Member, Mesh, MessageStream } from '../mesh/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { answerPages, decodePrefixSet, type PageScopes, type PrefixSet } from '../page/index.ts'
import { badFrame, openPassageLane, type PassageThreads } from '../passage/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import { deferred, withDeadline } from '../runtime/wait.ts'
import {
  answerOffer, encodeHad, IncomingPassages, Link, shareAtDestination, type IncomingPassagesComponents,
  type PublicPages,
} from '../transfer/index.ts'
import { formatRelayAddress, type RelayAddress } from './address.ts'
import {
  DESTINATION_LANGUAGE, type FromDestination, type FromSource, type RelayOffer, type RelayOutcome,
} from './messages.ts'
import { CHANNELS_MAX } from './outgoingrelay.ts'

/** How long connecting to the waiting QEMU, or to the source's agent, may take, ms. */
const DIAL_MS_MAX = 5000
/** A relay without a connection is given up after this long, ms. */
const IDLE_MS_MAX = 60_000
/** After all connections are closed, how long the source's host may take to tell the outcome, ms. */
const OUTCOME_MS_MAX = 120_000

export interface IncomingRelayComponents extends IncomingPassagesComponents {
  clock: Clock
  mesh: Mesh
  threads: PassageThreads
  /** Bytes that this host spent outside of handoffs so far. */
  spent: () => SpentBytes
  scopes: PageScopes
  publicPages: PublicPages
}

export interface IncomingRelayInit {
  offer: RelayOffer
  from: Member
  /** Connects to a waiting QEMU. */
  dial: (address: RelayAddress, signal: AbortSignal) => Promise<Endpoint>
  /** Whether the QEMU of this name that waits here shares nothing. */
  isPrivate: (guest: string | undefined) => boolean
  /** Whether this host has a page whose id begins with these bits, in a guest of this tenant or in its store. */
  has: (prefixHigh: number, prefixLow: number, prefixBits: number, tenant: string) => boolean
}

/** The destination's end of one migration that a manager drives: it dials the waiting QEMU, and nothing else. */
export class IncomingRelay {
  readonly #components: IncomingRelayComponents
  readonly #init: IncomingRelayInit
  readonly #passages: IncomingPassages
  /** How both ends hash. */
  readonly #sharing: ReturnType<typeof shareAtDestination>
  readonly #life = new AbortController()
  readonly #over = deferred<void>()
  /** Settles once the last requested connection is made or has failed. */
  #opening: Promise<void> = Promise.resolve()
  #link: Link<FromDestination, FromSource> | undefined
  #answered: { census: PrefixSet; bitmap: Uint8Array } | undefined
  /** The source's list of pages, until a connection is made: a source that makes none learns nothing. */
  #listed: PrefixSet | undefined
  #hasListed = false
  #isMade = false
  /** The QEMU here closed the main connection and had not taken all of it. */
  #isUnloaded = false
  readonly #quiet = deferred<void>()
  #channelCount = 0
  #openCount = 0
  #begunAt = 0
  #quietAt: number | undefined
  #patience: Timer | undefined
  #outcome: RelayOutcome | undefined

  constructor(components: IncomingRelayComponents, init: IncomingRelayInit) {
    this.#components = components
    this.#init = init
    this.#passages = new IncomingPassages(components)
    const { guest, pages } = init.offer
    const about = { guest, isPrivate: init.isPrivate(guest), hasPublic: components.publicPages.areThere }
    this.#sharing = shareAtDestination(components.scopes, about, pages)
  }

  get init(): Readonly<IncomingRelayInit> {
    return this.#init
  }

  /** The outcome that the source's host told; undefined until it has. */
  get outcome(): RelayOutcome | undefined {
    return this.#outcome
  }

  /** Resolves once no connection passes bytes any more. Never rejects. */
  get quiet(): Promise<void> {
    return this.#quiet.promise
  }

  /** Time from the offer until the last connection ended, or until now, ms. */
  get totalMs(): number {
    return (this.#quietAt ?? this.#components.clock.now()) - this.#begunAt
  }

  /** Requested connections. */
  get channelCount(): number {
    return this.#channelCount
  }

  /** Bytes that QEMU took, the sources of the pages for its refs, and bytes from other hosts. */
  get summary(): IncomingPassages['summary'] {
    return this.#passages.summary
  }

  get traffic(): { sentBytes: number; receivedBytes: number } {
    const { sentBytes, receivedBytes } = this.#passages.traffic
    const link = this.#link
    return { sentBytes: sentBytes + (link?.sentBytes ?? 0), receivedBytes: receivedBytes + (link?.receivedBytes ?? 0) }
  }

  /** Accepts the offer that came over `stream`, and resolves once the relay is over. Never rejects. */
  async run(stream: MessageStream): Promise<void> {
    const { log, clock, mesh } = this.#components
    const { offer, from } = this.#init
    this.#begunAt = clock.now()
    try {
      const { apart, answer } = this.#sharing
      if (apart !== undefined) {
        log.warn('a guest moves without references', { guest: offer.guest, from: from.name, reason: apart })
      }
      await answerOffer(stream, { accepted: true, ...(answer === undefined ? {} : { pages: answer }) })
      const lane = await this.#within((signal) => mesh.dialLane(from, offer.ticket, signal))
      this.#link = new Link({ clock, log, lane }, {
        bytesPerSecondMax: Infinity, language: DESTINATION_LANGUAGE,
        onMessage: (message) => this.#onMessage(message),
        onLost: (reason) => this.#onLinkLost(reason),
      })
      this.#wait(IDLE_MS_MAX)
      await this.#over.promise
    } catch (error) {
      log.warn('a relay did not begin', { from: from.name, error: describeError(error) })
    }
    this.#patience?.cancel()
    this.#fallQuiet()
    this.#passages.letGo()
    await this.#link?.close()
  }

  /** Closes every connection at once. */
  stop(): void {
    const stopped = new PagemeshError('agent-stopped', 'The agent at the destination was stopped.', {
      fault: 'cancelled',
    })
    this.#life.abort(stopped)
    this.#passages.stop()
    this.#over.resolve()
  }

  #onMessage(message: FromSource): void {
    switch (message.kind) {
      case 'census':
        if (this.#hasListed) throw badFrame('a second census')
        this.#hasListed = true
        // Never rejects.
        void this.#link!.heed(() => this.#list(message.body))
        return
      case 'order':
        // Never rejects.
        void this.#link!.heed(() => this.#fetch(message.body))
        return
      case 'channel': return this.#openChannel(message)
      case 'end':
        this.#fallQuiet()
        // It sends the outcome of the migration as soon as it knows it.
        this.#wait(OUTCOME_MS_MAX)
        return this.#link!.say({
          kind: 'summary', isUnloaded: this.#isUnloaded,
          summary: { ...this.#passages.summary, releaseMs: 0, spent: this.#components.spent() },
        })
      case 'outcome':
        this.#outcome = message.outcome
        return this.#over.resolve()
    }
  }

  #fallQuiet(): void {
    this.#quietAt ??= this.#components.clock.now()
    this.#quiet.resolve()
  }

  async #list(body: Buffer): Promise<void> {
    this.#listed = await decodePrefixSet(body)
    await this.#answerCensus()
  }

  async #answerCensus(): Promise<void> {
    const census = this.#listed
    if (!this.#isMade || census === undefined) return
    this.#listed = undefined
    const { tenant } = this.#sharing
    const bitmap = await answerPages(census, (high, low, bits) => {
      return tenant !== undefined && this.#init.has(high, low, bits, tenant)
    })
    this.#answered = { census, bitmap }
    this.#link?.say({ kind: 'bitmap', body: await encodeHad(bitmap, this.#sharing, this.#components.publicPages) })
  }

  async #fetch(order: Buffer): Promise<void> {
    const answered = this.#answered
    if (answered === undefined) throw badFrame('an order for pages that were not listed')
    this.#answered = undefined
    if (this.#sharing.tenant === undefined) return
    const tell = (body: Buffer): void => this.#link?.say({ kind: 'fetched', body })
    await this.#passages.fetch(answered, order, this.#init.from.name, tell)
  }

  /** Connections are made one after the other: QEMU distinguishes them by their order. */
  #openChannel({ number, ticket }: FromSource & { kind: 'channel' }): void {
    const { log } = this.#components
    if (number !== this.#channelCount || number >= CHANNELS_MAX) throw badFrame(`channel ${number} is not the next`)
    this.#channelCount += 1
    this.#openCount += 1
    this.#patience?.cancel()
    this.#opening = this.#opening.then(() => this.#open(number, ticket)).catch((error: unknown) => {
      const { code, message } = asPagemeshError(error)
      log.info('a relayed connection was not made', { id: this.#init.offer.id, number, code, reason: message })
      this.#link?.say({ kind: 'refused', number, code, message })
      this.#closed()
    })
  }

  async #open(number: number, ticket: (FromSource & { kind: 'channel' })['ticket']): Promise<void> {
    const { mesh } = this.#components
    const { dial, offer, from } = this.#init
    const qemu = await this.#within((signal) => dial(offer.address, signal))
    this.#link?.say({ kind: 'opened', number })
    this.#isMade = true
    // Never rejects; the connection does not wait for it.
    void this.#link?.heed(() => this.#answerCensus())
    try {
      const lane = await this.#within(async (signal) =>
        openPassageLane(this.#components, await mesh.dialUnsecuredLane(from, ticket, signal), signal))
      // A connection that breaks is broken at both ends, and the others continue, as between two QEMUs.
      const { hasher, publicHasher } = this.#sharing
      this.#passages.start({ lane, hasher, publicHasher, qemu, mayHangUp: false }, {
        ended: () => this.#closed(),
        failed: (error) => {
          if (number === 0 && error.code === 'qemu-connection-lost') this.#isUnloaded = true
          this.#closed()
        },
      })
    } catch (error) {
      qemu.destroy()
      throw error
    }
  }

  #closed(): void {
    this.#openCount -= 1
    if (this.#openCount > 0) return
    if (this.#link?.isOver === true) this.#over.resolve()
    else this.#wait(IDLE_MS_MAX)
  }

  /** Running connections continue; no new ones are made. */
  #onLinkLost(reason: Reason): void {
    const { address, id } = this.#init.offer
    this.#components.log.info('the agents of a relay lost each other', {
      id, address: formatRelayAddress(address), reason: sentenceOf(reason),
    })
    if (this.#openCount === 0) this.#over.resolve()
  }

  #wait(limitMs: number): void {
    this.#patience?.cancel()
    this.#patience = this.#components.clock.after(limitMs, () => this.#over.resolve())
  }

  async #within<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = (): Error => new PagemeshError('not-dialled', 'nothing answered there in time.', {
      fault: 'peer', phase: 'preparing',
    })
    return await withDeadline(this.#components.clock, { signal: this.#life.signal, limitMs: DIAL_MS_MAX, late }, work)
  }
}
