import type { Member, Mesh, Standing, Unsubscribe } from '../mesh/index.ts'
import { PrefixTable, type PageSource, type PageVerifier } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { Account } from './account.ts'
import type { ArrivedPages, FetchCounts, FetchInit, Swap, SwapPurpose, SwapTraffic, WantedPages } from './api.ts'
import { ProactiveCap } from './cap.ts'
import { Fetch, type FetchComponents } from './fetch.ts'
import { Holder } from './holder.ts'
import { InFlight } from './inflight.ts'
import { HolderRatings } from './ratings.ts'
import { PageReading, type Confirm } from './reading.ts'
import { Sessions } from './sessions.ts'
import { SWAP_PROTOCOL } from './wire.ts'

/** Pages of one purpose that all fetches together have asked for; further ones wait. */
const IN_FLIGHT_MAX = 32_768

export interface SwapComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  hasher: PageVerifier
  standing: Standing
  /** This host's pages, the nearest source first. */
  sources: readonly PageSource[]
  /** Whether enough hosts are said to hold a page, so that it may leave this one. */
  isPopular: (high: number, low: number) => boolean
  /** Which of the pages that are popular by reports may leave this one, by proof. */
  confirm: Confirm
  /** Called for each answer that a member got. */
  onServed?: (member: Member, pages: number) => void
}

export interface SwapInit {
  /** Cap of proactive traffic, both ways together, measured at the interface. */
  bytesPerSecondMax: number
}

export function createSwap(components: SwapComponents, init: SwapInit): Swap {
  return new PageSwap(components, init)
}

class PageSwap implements Swap {
  readonly pages = { served: 0, fetched: 0, missing: 0, wrong: 0 }
  readonly #mesh: Mesh
  readonly #accounts: Readonly<Record<SwapPurpose, Account>> = { placement: new Account(), handoff: new Account() }
  readonly #cap: ProactiveCap
  readonly #parts: FetchComponents
  readonly #holder: Holder
  readonly #fetches = new Set<Fetch>()
  #abort = new AbortController()
  #undo: Unsubscribe[] = []
  #isStarted = false

  constructor(components: SwapComponents, { bytesPerSecondMax }: SwapInit) {
    const { clock, log, mesh, hasher, standing } = components
    const accounts = this.#accounts
    this.#mesh = mesh
    this.#cap = new ProactiveCap({ clock }, { bytesPerSecondMax, onHeld: (isHeld) => this.#setShut(isHeld) })
    const cap = this.#cap
    const ratings = new HolderRatings(components)
    this.#parts = {
      clock, log, mesh, hasher, standing, cap, ratings,
      sessions: new Sessions({ mesh, clock, log, standing, ratings, cap, accounts }, () => this.#wakeAll()),
      inFlight: { placement: new InFlight(IN_FLIGHT_MAX), handoff: new InFlight(IN_FLIGHT_MAX) },
      counts: this.pages,
    }
    const reading = new PageReading(components)
    const onServed = (member: Member, pages: number): void => {
      this.pages.served += pages
      components.onServed?.(member, pages)
    }
    this.#holder = new Holder({ mesh, clock, log, standing, reading, cap, accounts, onServed })
  }

  get traffic(): Record<SwapPurpose, SwapTraffic> {
    return { placement: this.#accounts.placement.total, handoff: this.#accounts.handoff.total }
  }

  async fetch(wanted: WantedPages, init: FetchInit): Promise<FetchCounts> {
    init.signal.throwIfAborted()
    const fetch = new Fetch(this.#parts, wanted, init, (pages) => this.#share(fetch, wanted, pages))
    this.#fetches.add(fetch)
    if (!this.#isStarted) fetch.giveUp()
    try {
      return await fetch.run()
    } finally {
      this.#fetches.delete(fetch)
      // Other fetches may now ask for the pages that it had under way.
      this.#wakeAll()
    }
  }

  standBack(): () => void {
    return this.#cap.hold()
  }

  async start(): Promise<void> {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#abort = new AbortController()
    const { signal } = this.#abort
    this.#undo = [
      this.#mesh.handle(SWAP_PROTOCOL, (stream, from) => this.#holder.serve(stream, from, signal)),
      this.#mesh.onMember((change, { name }) => {
        if (change === 'left') this.#parts.ratings.forget(name)
        this.#wakeAll()
      }),
    ]
  }

  async stop(): Promise<void> {
    if (!this.#isStarted) return
    this.#isStarted = false
    for (const undo of this.#undo.splice(0)) undo()
    this.#abort.abort(new Error('the agent stops'))
    for (const fetch of this.#fetches) fetch.giveUp()
    await this.#parts.sessions.close()
  }

  #setShut(isShut: boolean): void {
    this.#holder.setShut(isShut)
    if (!isShut) this.#wakeAll()
  }

  #wakeAll(): void {
    for (const fetch of this.#fetches) fetch.wake()
  }

  /** Gives arrived pages to the other fetches that wait for them: no page is asked for twice at a time. */
  #share(from: Fetch, wanted: WantedPages, pages: ArrivedPages): void {
    if (this.#fetches.size < 2) return
    const places = new PrefixTable(pages.count)
    for (let page = 0; page < pages.count; page++) {
      const index = pages.indices[page]!
      places.add(wanted.high[index]!, wanted.low[index]!, page)
    }
    for (const other of this.#fetches) if (other !== from) other.share(pages, places)
  }
}
