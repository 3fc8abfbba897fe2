import { EventEmitter } from 'node:events'

import type { Census } from '../census/index.ts'
import type { Guest } from '../guest/index.ts'
import {
  failedResult, Incoming, Outgoing, PageBudget, type HandoffEstimate, type HandoffProgress, type HandoffResult,
  type OutgoingInit, type SpentBytes,
} from '../handoff/index.ts'
import type { Member, Mesh, MessageStream } from '../mesh/index.ts'
import type { PageHasher } from '../page/index.ts'
import type { Keeper } from '../placement/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import type { Store } from '../store/index.ts'
import type { Swap } from '../swap/index.ts'
import { Absences } from './absence.ts'
import { keepLeft } from './farewell.ts'
import type { GuestList } from './guestlist.ts'
import type { Handoff, MigrateRequest } from './index.ts'
import { spentOf, trafficOf } from './ledger.ts'
import { createPeerPages, noPeerPages } from './peerpages.ts'
import type { AgentStatus } from './status.ts'

interface RunningOutgoing {
  abort: AbortController
  progress: HandoffProgress
  done: Promise<unknown>
}

/** Handoffs that may come in at once; each may hold a window of stream and 32 MiB of pages sent before. */
const INCOMING_MAX = 16
/** Pages fetched from peers that all of them may hold at once: 512 MiB. */
const FETCHED_PAGES_MAX = 2 ** 17

/** Parts of a handoff that an operator may leave out. */
export interface HandoffSwitches {
  /** Outgoing: pages that the destination has travel as references. */
  references: boolean
  /** Incoming: pages that others have are fetched meanwhile. */
  peers: boolean
  /** Outgoing: pages that travel whole are compressed. */
  compression: boolean
}

/** The handoffs of this host that run, in both directions: one per guest. */
export class Handoffs {
  readonly #components: HandoffsComponents & { spent: () => SpentBytes }
  readonly #directory: string
  readonly #switches: HandoffSwitches
  readonly #outgoing = new Map<string, RunningOutgoing>()
  readonly #incoming = new Map<Incoming, Promise<void>>()
  /** Guests that are being received, so that two offers of one guest do not meet. */
  readonly #expected = new Set<string>()
  readonly #abort = new AbortController()
  readonly #absences: Absences
  readonly #budget = new PageBudget(FETCHED_PAGES_MAX)
  readonly traffic = { sentBytes: 0, receivedBytes: 0 }
  /** What the streams of guests that moved, either way, took less than QEMU's own would have. */
  savedBytes = 0

  constructor(components: HandoffsComponents, init: { directory: string; switches: HandoffSwitches }) {
    this.#components = { ...components, spent: () => spentOf(trafficOf(components)) }
    this.#directory = init.directory
    this.#switches = init.switches
    this.#absences = new Absences(components)
  }

  migrate(request: MigrateRequest): Handoff {
    const events = new EventEmitter<{ progress: [HandoffProgress] }>()
    const promise = this.#migrate(request, (progress) => events.emit('progress', progress))
    const handoff: Handoff = Object.assign(promise, {
      on(event: 'progress', listener: (progress: HandoffProgress) => void) {
        events.on(event, listener)
        return handoff
      },
    })
    return handoff
  }

  async estimate(request: MigrateRequest): Promise<HandoffEstimate> {
    return await this.#moving(request, async (init) => await new Outgoing(this.#components, init).estimate())
  }

  cancel(guestName: string): void {
    const running = this.#outgoing.get(guestName)
    if (running === undefined) {
      throw new PagemeshError('no-handoff', `No handoff of a guest named ${guestName} runs from this host.`, {
        fault: 'usage', advice: '`pagemesh status` lists those that run.',
      })
    }
    if (running.progress.phase === 'postcopy' || running.progress.phase === 'finishing') {
      const message = `The guest ${guestName} has switched over already: cancelling would lose it.`
      throw new PagemeshError('switched-over', message, {
        fault: 'usage', advice: 'Let the handoff end.',
      })
    }
    running.abort.abort()
  }

  /** Takes a guest that a member offers; resolves when that handoff has ended, one way or the other. */
  async receive(stream: MessageStream, from: Member): Promise<void> {
    const { census, guests, store } = this.#components
    let expected: string | undefined
    const peers = this.#switches.peers ? createPeerPages(this.#components) : noPeerPages
    const sources = [census.resident, store.source]
    const incoming = new Incoming({ ...this.#components, sources, peers, budget: this.#budget }, {
      waitingGuest: async (name) => {
        this.#expect(name)
        expected = name
        return await guests.requireWaiting(name)
      },
      has: (high, low, bits) => census.has(high, low, bits) || store.has(high, low, bits),
      directory: this.#directory,
      signal: this.#abort.signal,
    }, from)
    const goOn = this.#standBack()
    const run = incoming.run(stream)
    this.#incoming.set(incoming, run)
    await run
    goOn()
    this.#incoming.delete(incoming)
    if (expected !== undefined) this.#expected.delete(expected)
    this.#count(incoming.traffic)
    this.savedBytes += incoming.savedBytes
    await guests.refresh()
  }

  list(): AgentStatus['handoffs'] {
    const outgoing = [...this.#outgoing.values()]
      .map(({ progress }) => ({ direction: 'outgoing' as const, ...progress }))
    const incoming = [...this.#incoming.keys()].map(({ status }) => ({ direction: 'incoming' as const, ...status }))
    return [...outgoing, ...incoming]
  }

  /** Cancels what goes out, breaks off what comes in, and waits for both. */
  async stop(): Promise<void> {
    this.#absences.stop()
    this.#abort.abort()
    for (const { abort } of this.#outgoing.values()) abort.abort()
    await Promise.allSettled([...[...this.#outgoing.values()].map(({ done }) => done), ...this.#incoming.values()])
  }

  async #migrate(request: MigrateRequest, onProgress: (progress: HandoffProgress) => void): Promise<HandoffResult> {
    try {
      let guest: Guest | undefined
      const result = await this.#moving(request, async (init, running) => {
        guest = init.guest
        const result = await new Outgoing(this.#components, {
          ...init,
          onProgress: (progress) => {
            running.progress = progress
            onProgress(progress)
          },
        }).run()
        this.#count({ sentBytes: result.wireBytes, receivedBytes: result.receivedWireBytes })
        if (result.status === 'completed') {
          this.savedBytes += result.qemuBytes - result.wireBytes - result.receivedWireBytes
        }
        await this.#components.guests.refresh()
        return result
      })
      if (result.status === 'completed' && guest !== undefined) await keepLeft(this.#components, guest)
      return result
    } catch (thrown) {
      const error = asPagemeshError(thrown)
      return { ...failedResult(this.#about(request)), code: error.code, reason: describeError(error) }
    }
  }

  /** Runs `work` while the guest counts as moving: it can move only once at a time. */
  async #moving<T>(
    request: MigrateRequest, work: (init: OutgoingInit, running: RunningOutgoing) => Promise<T>,
  ): Promise<T> {
    const { guest: name, to, signal } = request
    const { mesh } = this.#components
    if (this.#outgoing.has(name) || this.#expected.has(name)) {
      throw new PagemeshError('already-moving', `The guest ${name} is moving already.`, {
        fault: 'usage', phase: 'preparing', advice: '`pagemesh status` shows its handoff, `pagemesh cancel` ends it.',
      })
    }
    if (to === mesh.self.name) {
      throw new PagemeshError('same-host', `${to} is this host: the guest ${name} is here already.`, { fault: 'usage' })
    }
    const running: RunningOutgoing = {
      abort: new AbortController(), progress: noProgress(this.#about(request)), done: Promise.resolve(),
    }
    signal?.addEventListener('abort', () => running.abort.abort(), { once: true })
    if (signal?.aborted === true) running.abort.abort()
    this.#outgoing.set(name, running)
    const goOn = this.#standBack()
    const working = this.#init(request, running).then(async (init) => await work(init, running))
    running.done = working
    try {
      return await working
    } finally {
      goOn()
      this.#outgoing.delete(name)
    }
  }

  async #init(request: MigrateRequest, running: RunningOutgoing): Promise<OutgoingInit> {
    const { mesh, guests, census } = this.#components
    const guest = await guests.require(request.guest)
    if (await this.#absences.find(request.to, running.abort.signal) === undefined) {
      const names = mesh.members().map((member) => member.name).join(', ')
      throw new PagemeshError('host-unknown', `No host named ${request.to} is in the mesh.`, {
        fault: 'usage', phase: 'preparing',
        advice: names === ''
          ? 'This host sees no other at all: check `bootstrap` and the cluster key.' : `This host sees: ${names}.`,
      })
    }
    return {
      guest,
      to: request.to,
      mode: request.mode ?? 'precopy',
      census: this.#switches.references ? census.of(request.guest) : undefined,
      compresses: this.#switches.compression,
      directory: this.#directory,
      signal: running.abort.signal,
      ...(request.maxBandwidth === undefined ? {} : { bytesPerSecondMax: request.maxBandwidth }),
      ...(request.maxDowntimeMs === undefined ? {} : { downtimeMsMax: request.maxDowntimeMs }),
      ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
    }
  }

  /** Makes what is not urgent wait while a guest moves; returns how to let it go on. */
  #standBack(): () => void {
    const { census, popularity, keeper, swap } = this.#components
    const goOns = [census, popularity, keeper, swap].map((part) => part.standBack())
    return () => goOns.forEach((goOn) => goOn())
  }

  #expect(name: string): void {
    if (this.#expected.has(name) || this.#outgoing.has(name)) {
      throw new PagemeshError('already-moving', `the guest ${name} is moving there already.`, {
        fault: 'peer', phase: 'offer',
      })
    }
    if (this.#incoming.size > INCOMING_MAX) {
      throw new PagemeshError('busy', `${INCOMING_MAX} guests are arriving there already.`, {
        fault: 'peer', phase: 'offer', advice: 'Try again when some have arrived.',
      })
    }
    this.#expected.add(name)
  }

  #count(bytes: { sentBytes: number; receivedBytes: number }): void {
    this.traffic.sentBytes += bytes.sentBytes
    this.traffic.receivedBytes += bytes.receivedBytes
  }

  #about({ guest, to, mode }: MigrateRequest): Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'> {
    return { guest, from: this.#components.mesh.self.name, to, mode: mode ?? 'precopy' }
  }
}

export interface HandoffsComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  census: Census
  popularity: Popularity
  store: Store
  keeper: Keeper
  swap: Swap
  guests: GuestList
  hasher: PageHasher
}

function noProgress(about: Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'>): HandoffProgress {
  return {
    ...about, phase: 'preparing', elapsedMs: 0, percent: 0,
    qemuBytes: 0, wireBytes: 0, wireBytesPerSecond: 0, remainingBytes: 0,
  }
}
