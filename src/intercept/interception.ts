import type { HostPort } from '../net/hostport.ts'
import type { PortRange } from '../net/portranges.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { deferred } from '../runtime/wait.ts'
import { Arrivals, type ArrivalCounts, type Carry } from './arrivals.ts'
import { chooseMembers, type MetMember } from './chosen.ts'
import { Listeners } from './listeners.ts'
import { requireNft, whyRefused } from './nft.ts'
import { createTable, type TableContent } from './program.ts'
import { OwnedTable } from './table.ts'

export interface InterceptionComponents {
  clock: Clock
  log: Log
  /** The present members. */
  members: () => readonly MetMember[]
  /** The present addresses of this host's interfaces. */
  ownAddresses: () => readonly string[]
  carry: Carry
}

export interface InterceptionInit {
  ports: readonly PortRange[]
}

/** Counts of connections since start, and whether interception is active. */
export interface InterceptStatus extends ArrivalCounts {
  active: boolean
  /** Why interception is configured but not active, as a sentence. */
  why: string | null
  /** Members whose addresses are intercepted now. */
  members: string[]
}

/** The status of a host without interception. */
export const NO_INTERCEPTION: InterceptStatus = {
  active: false, why: null, members: [], carried: 0, direct: 0, refused: 0,
}

/** Interval of checks of members and addresses, besides those on notified changes. */
const LOOK_MS = 5_000
/** Doubled after each failed try. */
const RETRY_MS = 1_000
const RETRY_MS_MAX = 60_000
/** How long connections to a member go direct after it refused one. */
const ASIDE_MS = 60_000

/**
 * Redirects connections of this host's managers to members through the agent. If anything is missing or fails, they go
 * direct, and the reason is logged and shown in `status`.
 */
export class Interception {
  readonly #components: InterceptionComponents
  readonly #ports: readonly PortRange[]
  readonly #arrivals: Arrivals
  /** Members to which connections go direct, by name, with the end of that time. Present members only. */
  readonly #aside = new Map<string, number>()
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #chosen: ReadonlyMap<string, string> = new Map()
  #why: string | undefined = 'it has not started yet'
  #news = deferred<void>()

  constructor(components: InterceptionComponents, { ports }: InterceptionInit) {
    this.#components = components
    this.#ports = ports
    this.#arrivals = new Arrivals(components, {
      memberAt: (address) => this.#chosen.get(address),
      onRefused: (member) => {
        if (!this.#aside.has(member)) {
          components.log.warn('a member refuses intercepted connections: they go direct for a minute', { member })
        }
        this.#aside.set(member, components.clock.now() + ASIDE_MS)
        this.refresh()
      },
      onOpenChange: () => this.refresh(),
    })
  }

  get status(): InterceptStatus {
    const active = this.#why === undefined
    return {
      active, why: this.#why ?? null, members: active ? [...this.#chosen.values()].sort() : [],
      ...this.#arrivals.counts,
    }
  }

  /** Idempotent. Never throws: failures are reported in `status` and tried again. */
  start(): void {
    this.#running ??= this.#run(this.#stopping.signal)
  }

  /** Members or addresses have changed. */
  refresh(): void {
    this.#chosen = this.#choose()
    this.#news.resolve()
  }

  /** Removes the table, then closes open connections. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the agent stops'))
    this.#news.resolve()
    await this.#running
    this.#why = 'the agent has stopped'
    this.#arrivals.stop()
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#components
    let pauseMs = RETRY_MS
    while (!signal.aborted) {
      try {
        await this.#intercept(signal, () => { pauseMs = RETRY_MS })
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        if (this.#why !== why) log.warn('migrations of managers go direct: interception is not possible', { why })
        this.#why = why
        // Rejects only on abort, which ends the loop.
        await clock.sleep(pauseMs, signal).catch(() => undefined)
        pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX)
      }
    }
  }

  /** Intercepts until it is stopped; throws an Error whose message is a sentence if interception ends by itself. */
  async #intercept(signal: AbortSignal, onActive: () => void): Promise<void> {
    const nft = requireNft()
    const listeners = await Listeners.open((socket) => this.#arrivals.accept(socket))
    try {
      const create = createTable({ ports: this.#ports, listeners: listeners.addresses })
      const refusal = await whyRefused(nft, create)
      if (refusal !== undefined) throw new Error(refusal)
      const init = { nft, create, listenerFds: listeners.fds }
      const table = await OwnedTable.open(this.#components, init, this.#content())
      try {
        onActive()
        this.#tellActive(listeners.addresses)
        await this.#keepFilled(table, listeners, signal)
      } finally {
        await table.close()
      }
    } finally {
      // The table is gone: no connection is redirected here any more.
      listeners.close()
    }
  }

  #tellActive(listeners: HostPort[]): void {
    this.#why = undefined
    this.#components.log.info('migrations of managers are intercepted', { ports: this.#ports, listeners })
  }

  async #keepFilled(table: OwnedTable, listeners: Listeners, signal: AbortSignal): Promise<void> {
    let filled = ''
    const ended = Promise.race([table.gone, listeners.failed])
    let whyEnded: string | undefined
    // It never rejects.
    void ended.then((why) => {
      whyEnded = why
      this.#news.resolve()
    })
    for (;;) {
      if (whyEnded !== undefined) throw new Error(whyEnded)
      this.#news = deferred()
      this.#chosen = this.#choose()
      const content = signal.aborted ? { addresses: [], keep: false } : this.#content()
      const wanted = JSON.stringify(content)
      if (wanted !== filled) await table.fill(content)
      if (signal.aborted) return
      filled = wanted
      const timer = this.#components.clock.after(LOOK_MS, () => this.#news.resolve())
      await this.#news.promise
      timer.cancel()
    }
  }

  #content(): TableContent {
    return { addresses: [...this.#chosen.keys()], keep: this.#arrivals.openCount > 0 }
  }

  #choose(): ReadonlyMap<string, string> {
    const { clock, members, ownAddresses } = this.#components
    const present = members()
    for (const [name, until] of this.#aside) {
      if (until <= clock.now() || !present.some((member) => member.name === name)) this.#aside.delete(name)
    }
    return chooseMembers(present.filter(({ name }) => !this.#aside.has(name)), {
      ownAddresses: ownAddresses(), ports: this.#ports,
    })
  }
}
