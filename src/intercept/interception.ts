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
  /** Everybody who is in the mesh now. */
  members: () => readonly MetMember[]
  /** Addresses of this host's interfaces, as they are now. */
  ownAddresses: () => readonly string[]
  carry: Carry
}

export interface InterceptionInit {
  ports: readonly PortRange[]
}

/** Connections since start, and whether they come here at all. */
export interface InterceptStatus extends ArrivalCounts {
  active: boolean
  /** Why connections go direct, as a sentence, where they should not. */
  why: string | null
  /** Members whose addresses are intercepted now. */
  members: string[]
}

/** What a host says that was not told to intercept anything. */
export const NO_INTERCEPTION: InterceptStatus = {
  active: false, why: null, members: [], carried: 0, direct: 0, refused: 0,
}

/** How often members and addresses are looked at, besides when they are said to have changed. */
const LOOK_MS = 5_000
/** Doubled after each try that was in vain. */
const RETRY_MS = 1_000
const RETRY_MS_MAX = 60_000
/** How long a member goes direct that did not take a connection. */
const ASIDE_MS = 60_000

/**
 * Leads connections of this host's managers to members through the agent, for as long as it can: where anything is
 * missing or fails, they go direct, and the reason is logged and told.
 */
export class Interception {
  readonly #components: InterceptionComponents
  readonly #ports: readonly PortRange[]
  readonly #arrivals: Arrivals
  /** Members that go direct, by name, until when. Only those that are members are remembered. */
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
          components.log.warn('a member takes no intercepted connections: they go direct for a minute', { member })
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

  /** Idempotent. What is missing is told, and tried again; nothing is thrown. */
  start(): void {
    this.#running ??= this.#run(this.#stopping.signal)
  }

  /** Members or addresses have changed. */
  refresh(): void {
    this.#chosen = this.#choose()
    this.#news.resolve()
  }

  /** Takes the table away, then closes what is open. Idempotent. */
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
        // It rejects only when it is no longer to be waited for.
        await clock.sleep(pauseMs, signal).catch(() => undefined)
        pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX)
      }
    }
  }

  /** Returns when it is to stop; throws an Error, whose message is a sentence, when connections go direct again. */
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
      // The table has gone: nobody is led here any more.
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
