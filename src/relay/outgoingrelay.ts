import type { IncomingSummary, Reason } from '../conversation/index.ts'
import type { Manager } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { PeekedEndpoint } from '../net/peekedendpoint.ts'
import { Inventory, type ListedPages, type PageScope, type PageScopes, type Prefixes } from '../page/index.ts'
import {
  badFrame, openPassageLane, type CompressionMode, type OutgoingPassageCounts, type PassageThreads,
} from '../passage/index.ts'
import type { StreamKnowledgeData } from '../qemu/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError, refusalOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { deferred, waitAtMost, withDeadline, type Deferred } from '../runtime/wait.ts'
import {
  Link, offeredPages, offerLink, OutgoingPassages, shareAtSource, takeHad, type Sharing,
} from '../transfer/index.ts'
import type { RelayAddress } from './address.ts'
import { beginningOf } from './firstbytes.ts'
import {
  encodeRelayOffer, RELAY_PROTOCOL, SOURCE_LANGUAGE, type FromDestination, type FromSource, type RelayOutcome,
} from './messages.ts'
import { newsOf, NOTHING_TOLD, type MainChannel } from './outcome.ts'

/** How long making a connection at the destination may take, ms: the source's manager waits meanwhile. */
const OPEN_MS_MAX = 10_000
/** How long the destination's agent may take to open the link between the two, ms. */
const LINK_MS_MAX = 5000
/** How long a stream waits for the destination's inventory, ms; then it begins without. */
const INVENTORY_MS_MAX = 2000
/** How long the destination may take to send its summary, ms. */
const SUMMARY_MS_MAX = 5000
/** The destination's pages, before it has sent its inventory. */
const NOTHING_KNOWN: Prefixes = { count: 0, high: new Uint32Array(0), low: new Uint32Array(0) }
/** A main channel, the most multifd channels that are carried, and one for urgent pages. */
export const CHANNELS_MAX = 18

export interface OutgoingRelayComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  scopes: PageScopes
  threads: PassageThreads
}

export interface OutgoingRelayInit {
  id: string
  /** Name of the destination host, and the address to dial there. */
  to: string
  address: RelayAddress
  /** Undefined if it is not known whose stream it is. */
  guest: string | undefined
  manager: Manager | undefined
  /** The guest's pages; without them only pages sent before become refs. */
  census: ListedPages | undefined
  /** The scope that its pages are hashed in, in the census too; `private`: it shares nothing. */
  scope: PageScope | 'private' | undefined
  compression: CompressionMode
  /** What the main channel told before a post-copy was interrupted, if this may be its resumption. */
  continuation: StreamKnowledgeData | undefined
}

/** The source's end of one migration that a manager drives: its connections, each with a passage. */
export class OutgoingRelay {
  readonly #components: OutgoingRelayComponents
  readonly #init: OutgoingRelayInit
  readonly #passages: OutgoingPassages
  #inventory: Inventory
  /** How both ends hash, once the offer is accepted. */
  #sharing: Sharing | undefined
  readonly #life = new AbortController()
  /** Ends all waiting for the destination once the link is gone. */
  readonly #hearing = new AbortController()
  /** Resolves once the destination's inventory is known, or will not come. */
  readonly #inventoried = deferred<void>()
  readonly #summarized = deferred<void>()
  readonly #over = deferred<void>()
  /** Channels that the destination has not connected yet, by number. */
  readonly #opening = new Map<number, Deferred<void>>()
  #link: Link<FromSource, FromDestination> | undefined
  #channelCount = 0
  #openCount = 0
  #bytes = { sentBytes: 0, receivedBytes: 0 }
  #told: MainChannel = NOTHING_TOLD
  #isMainOpen = true
  #isInventoried = false
  #summary: IncomingSummary | undefined
  #error: PagemeshError | undefined

  constructor(components: OutgoingRelayComponents, init: OutgoingRelayInit) {
    this.#components = components
    this.#init = init
    // Nothing but the order of their ends tells whose QEMU ended the migration.
    this.#passages = new OutgoingPassages({ ...init, hearsOut: true })
    this.#inventory = new Inventory(init.census)
  }

  get init(): Readonly<OutgoingRelayInit> {
    return this.#init
  }

  /** What the main channel has shown so far. */
  get told(): MainChannel {
    return this.#told
  }

  /** Whether a new connection may belong to this migration. */
  get isOpen(): boolean {
    return this.#isMainOpen && this.#link?.isOver === false && this.#channelCount < CHANNELS_MAX
  }

  get counts(): OutgoingPassageCounts[] {
    return this.#passages.counts
  }

  /** Bytes of everything except passages. */
  get traffic(): { sentBytes: number; receivedBytes: number } {
    const { sentBytes = 0, receivedBytes = 0 } = this.#link ?? {}
    return { sentBytes: this.#bytes.sentBytes + sentBytes, receivedBytes: this.#bytes.receivedBytes + receivedBytes }
  }

  get knowledge(): StreamKnowledgeData | undefined {
    return this.#passages.knowledge
  }

  /** Why no page is sent as a reference to one that the destination has. */
  get apart(): string | undefined {
    return this.#sharing?.apart
  }

  get summary(): IncomingSummary | undefined {
    return this.#summary
  }

  /** The error of the first connection that broke. */
  get error(): PagemeshError | undefined {
    return this.#error
  }

  /** Resolves once every connection is closed, and the destination has sent its summary or failed to. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Asks the destination whether it dials the address. Throws its refusal. */
  async open(): Promise<void> {
    const { mesh, clock, log, scopes } = this.#components
    const { id, to, guest, manager, address, scope } = this.#init
    const unfollow = mesh.onMember((change, { name }) => {
      if (change === 'left' && name === to) this.#hearing.abort(notCarried(to))
    })
    await this.#within(LINK_MS_MAX, async (signal) => {
      const { lane, pages, offerBytes, answerBytes } = await offerLink(
        mesh, { to, protocol: RELAY_PROTOCOL },
        (ticket) => encodeRelayOffer({
          id, guest, manager, address, ticket, pages: offeredPages(scope, scopes, this.#init.census !== undefined),
        }),
        signal,
      )
      this.#bytes = { sentBytes: offerBytes, receivedBytes: answerBytes }
      this.#share(shareAtSource(scopes, scope, pages))
      this.#link = new Link({ clock, log, lane: await lane }, {
        bytesPerSecondMax: Infinity, language: SOURCE_LANGUAGE,
        onMessage: (message) => this.#onMessage(message),
        onLost: (reason) => this.#onLinkLost(reason),
      })
    }).finally(unfollow)
    this.#link!.say({ kind: 'census', body: await this.#inventory.encode() })
  }

  /**
   * Carries a connection of the migration. Resolves once the destination has made it there as well: the next one must
   * not be accepted before. Throws the reason if the destination does not make it; then nothing was read from the
   * connection.
   */
  async carry(endpoint: PeekedEndpoint): Promise<void> {
    const { mesh } = this.#components
    const link = this.#link
    if (link === undefined || link.isOver) throw notCarried(this.#init.to)
    const number = this.#channelCount++
    const opening = deferred<void>()
    this.#opening.set(number, opening)
    this.#openCount += 1
    try {
      await this.#within(OPEN_MS_MAX, async (signal) => {
        const { ticket, lane: offered } = mesh.offerUnsecuredLane(signal)
        link.say({ kind: 'channel', number, ticket })
        // It is awaited once the connection is made there.
        offered.catch(() => {})
        await Promise.race([opening.promise, aborted(signal)])
        const lane = await openPassageLane(this.#components, await offered, signal)
        behind(this.#components.log, 'a connection was not carried', this.#begin(number, endpoint, lane)
          .catch((error: unknown) => {
            lane.destroy()
            endpoint.destroy()
            this.#closed(number, asPagemeshError(error))
          }))
      })
    } catch (error) {
      this.#closed(number, asPagemeshError(error))
      throw error
    } finally {
      this.#opening.delete(number)
    }
  }

  /** Tells the destination's host the outcome of the migration, and closes. */
  async settle(outcome: RelayOutcome): Promise<void> {
    this.#link?.say({ kind: 'outcome', outcome })
    await this.#link?.close()
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#life.abort(new PagemeshError('agent-stopped', 'The agent at the source was stopped.', { fault: 'cancelled' }))
    this.#passages.stop()
    this.#over.resolve()
    behind(this.#components.log, 'a relay is still being closed', this.#link?.close() ?? Promise.resolve())
  }

  #share(sharing: Sharing): void {
    const { apart } = sharing
    this.#sharing = sharing
    if (apart === undefined) return
    const { guest, to } = this.#init
    this.#components.log.warn('a guest moves without references', { guest, to, reason: apart })
    this.#inventory = new Inventory(undefined)
  }

  async #within<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = (): Error => notCarried(this.#init.to)
    const signal = AbortSignal.any([this.#life.signal, this.#hearing.signal])
    return await withDeadline(this.#components.clock, { signal, limitMs, late }, work)
  }

  async #begin(
    number: number, qemu: PeekedEndpoint, lane: Awaited<ReturnType<typeof openPassageLane>>,
  ): Promise<void> {
    const { clock, log } = this.#components
    await waitAtMost(clock, this.#inventoried.promise, INVENTORY_MS_MAX)
    if (this.#life.signal.aborted) {
      lane.destroy()
      qemu.destroy()
      return
    }
    const isMain = number === 0
    const resumes = isMain && beginningOf(qemu.seen).kind === 'resumed'
    const tell = (news: Partial<MainChannel>): void => {
      if (isMain) this.#told = { ...this.#told, ...news }
    }
    // The main channel of a resumed post-copy, even if nothing is known of the connection before it.
    if (resumes) tell({ isMigration: true, isPostcopy: true })
    this.#passages.start({
      lane, hasher: this.#sharing!.hasher, qemu, isMain, resumes, known: NOTHING_KNOWN, bytesPerSecondMax: Infinity,
      listener: {
        mark: (mark) => tell(newsOf(mark)),
        runState: () => {},
        lost: (reason) => log.debug('a relayed connection is not understood', { id: this.#init.id, number, reason }),
        streamEnded: () => tell({ hasStreamEnded: true }),
        returnEnded: (shut) => tell({ hasReturnEnded: true, hasReturnEndedFirst: !this.#told.hasStreamEnded, shut }),
        ended: () => this.#closed(number, undefined),
        failed: (error) => {
          // A QEMU that is told to cancel may reset its connection: bytes of the return path were still unread.
          if (error.code === 'qemu-connection-lost') tell({ hasStreamEnded: true })
          this.#closed(number, error)
        },
      },
    })
  }

  #closed(number: number, error: PagemeshError | undefined): void {
    if (number === 0) this.#isMainOpen = false
    this.#error ??= error
    if (error !== undefined) {
      this.#components.log.info('a relayed connection broke', {
        id: this.#init.id, number, reason: describeError(error),
      })
    }
    this.#openCount -= 1
    if (this.#openCount === 0 && !this.#isMainOpen) behind(this.#components.log, 'a relay did not end', this.#finish())
  }

  async #finish(): Promise<void> {
    if (this.#link?.isOver === false) {
      this.#link.say({ kind: 'end' })
      await waitAtMost(this.#components.clock, this.#summarized.promise, SUMMARY_MS_MAX)
    }
    this.#over.resolve()
  }

  #onMessage(message: FromDestination): void {
    switch (message.kind) {
      case 'bitmap':
        if (this.#isInventoried) throw badFrame('a second bitmap')
        this.#isInventoried = true
        // Never rejects.
        void this.#link!.heed(() => this.#useBitmap(message.body))
        return
      case 'fetched': return this.#passages.addKnown(this.#inventory.fetched(message.body))
      case 'opened': return this.#opening.get(message.number)?.resolve()
      case 'refused': {
        const { code, message: why } = message
        return this.#opening.get(message.number)?.reject(refusalOf({ code, message: `${this.#init.to}: ${why}` }, {
          fault: 'peer', phase: 'preparing',
        }))
      }
      case 'summary':
        this.#summary = message.summary
        this.#told = { ...this.#told, isUnloaded: message.isUnloaded }
        return this.#summarized.resolve()
    }
  }

  async #useBitmap(body: Buffer): Promise<void> {
    this.#passages.setPublic(await takeHad(body, this.#sharing!, this.#inventory))
    this.#passages.addKnown(this.#inventory.known)
    this.#link!.say({ kind: 'order', body: await this.#inventory.order() })
    this.#inventoried.resolve()
  }

  /** Running connections continue; no new ones are carried. */
  #onLinkLost(reason: Reason): void {
    this.#components.log.info('the agents of a relay lost each other', { id: this.#init.id, reason: reason.message })
    this.#inventoried.resolve()
    this.#summarized.resolve()
    this.#hearing.abort(notCarried(this.#init.to))
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  // If `promise` loses the race, nobody awaits its rejection.
  promise.catch(() => {})
  return promise
}

function notCarried(to: string): PagemeshError {
  return new PagemeshError('not-carried', `${to} did not make a connection in time.`, {
    fault: 'peer', phase: 'preparing', advice: 'See the log of its agent.',
  })
}
