import type { SpentBytes } from '../conversation/index.ts'
import { isAlive, type Manager, type ProcessIdentity } from '../guest/index.ts'
import type { PeekedEndpoint } from '../net/peekedendpoint.ts'
import type { ListedPages, PageScope } from '../page/index.ts'
import type { CompressionMode } from '../passage/index.ts'
import type { StreamKnowledgeData } from '../qemu/index.ts'
import { behind } from '../runtime/behind.ts'
import { asPagemeshError, type PagemeshError } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { waitAtMost } from '../runtime/wait.ts'
import type { RelayResult } from '../transfer/index.ts'
import { formatRelayAddress, type RelayAddress } from './address.ts'
import { beginningOf, type Beginning } from './firstbytes.ts'
import { relayOf, urgentOf, type RunningRelay } from './grouping.ts'
import type { RelayEnding } from './messages.ts'
import { endingOf, outcomeOf, type SourceProcess, type StreamOutcome } from './outcome.ts'
import { OutgoingRelay, type OutgoingRelayComponents } from './outgoingrelay.ts'
import { relayResult, UNKNOWN_GUEST } from './relayresult.ts'
import { hearUncarried, uncarriedEnding } from './uncarried.ts'

const ID_BYTES = 16
/**
 * How long to wait for a connection's first bytes, which identify it, ms. On some connections none come by themselves.
 */
const FIRST_BYTES_MS_MAX = 500
/** How long a manager may take to end the source QEMU after a successful migration, ms. */
const PROCESS_MS_MAX = 30_000
const PROCESS_EVERY_MS = 250
/** Interrupted post-copies that may be resumed; the oldest are forgotten. */
const CUT_MAX = 64

/** One connection that a manager or a QEMU made. */
export interface Connection {
  endpoint: PeekedEndpoint
  /** Name of the destination host, and the address to dial there. */
  to: string
  address: RelayAddress
  /** The process that made it, if known. */
  pid: number | undefined
  /** Finds the guest, called once the connection's first bytes are there. */
  findGuest: () => Promise<RelayedGuest>
  /** Where it goes if it is not carried: to the destination without the agents, or nowhere, and is closed. */
  otherwise: 'direct' | 'closed'
  /** Called for the first connection of a migration: when it has begun, and with its outcome. */
  onNews?: (news: RelayNews) => void
}

export type RelayNews =
  | { event: 'begun'; id: string; guest: string; to: string; address: string }
  | { event: 'ended'; id: string; result: RelayResult }

/** The guest behind a connection, as far as known. */
export interface RelayedGuest {
  name: string | undefined
  manager: Manager | undefined
  process: ProcessIdentity | undefined
  census: ListedPages | undefined
  /** The scope of its pages; undefined: not known; `private`: it shares nothing. */
  scope: PageScope | 'private' | undefined
}

export interface OutgoingRelaysInit {
  compression: CompressionMode
  /** Pauses work that is not urgent; returns the function that resumes it. */
  standBack: () => () => void
  spent: () => SpentBytes
  /** The result is final. Not called for connections that carried nothing, unless a migration began on them. */
  onOver: (result: RelayResult, about: { manager: Manager | undefined }) => Promise<void>
}

interface Running extends RunningRelay {
  relay: OutgoingRelay
  process: ProcessIdentity | undefined
}

interface Cut {
  to: string
  address: string
  guest: string | undefined
  knowledge: StreamKnowledgeData
}

/** The migrations that managers drive from this host; assigns connections to them. */
export class OutgoingRelays {
  readonly #components: OutgoingRelayComponents & { random: Random }
  readonly #init: OutgoingRelaysInit
  readonly #running = new Set<Running>()
  readonly #life = new AbortController()
  #cut: Cut[] = []

  constructor(components: OutgoingRelayComponents & { random: Random }, init: OutgoingRelaysInit) {
    this.#components = components
    this.#init = init
  }

  /** Relays with open connections. */
  running(): OutgoingRelay[] {
    return [...this.#running].map(({ relay }) => relay)
  }

  /**
   * Carries a connection to the destination. Resolves once it is made there as well: the next one to the same address
   * must not be accepted before. Throws the reason if it is not made; then nothing was sent, nor read of one that goes
   * direct.
   */
  async carry(connection: Connection): Promise<void> {
    const { endpoint, to, address, pid } = connection
    const there = [...this.#running].filter(({ relay }) => relay.isOpen && relay.init.to === to &&
      formatRelayAddress(relay.init.address) === formatRelayAddress(address))
      .map((running) => Object.assign(running, { isPostcopy: running.relay.told.isPostcopy }))
    const urgent = urgentOf(there, pid)
    if (urgent !== undefined) return await urgent.relay.carry(endpoint)
    await waitAtMost(this.#components.clock, endpoint.first, FIRST_BYTES_MS_MAX)
    const beginning = beginningOf(endpoint.seen)
    const known = relayOf(there.filter(({ relay }) => relay.isOpen), { beginning, pid })
    if (known !== undefined) {
      if (beginning.kind === 'multifd') known.uuid ??= beginning.uuid
      return await known.relay.carry(endpoint)
    }
    await this.#begin(connection, beginning)
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#life.abort()
    for (const { relay } of this.#running) relay.stop()
  }

  async #begin(
    { endpoint, to, address, pid, findGuest, otherwise, onNews = () => {} }: Connection, beginning: Beginning,
  ): Promise<void> {
    const guest = await findGuest()
    const { random } = this.#components
    const { compression, standBack } = this.#init
    const relay = new OutgoingRelay(this.#components, {
      id: Buffer.from(random.bytes(ID_BYTES)).toString('hex'),
      to, address, guest: guest.name, manager: guest.manager, census: guest.census, scope: guest.scope, compression,
      continuation: beginning.kind === 'resumed' ? this.#takeCut(to, address, guest.name) : undefined,
    })
    const begunAt = this.#components.clock.now()
    const running: Running = { relay, process: guest.process, pid, uuid: undefined, isPostcopy: false }
    const goOn = standBack()
    this.#running.add(running)
    try {
      await relay.open()
      await relay.carry(endpoint)
    } catch (error) {
      relay.stop()
      this.#running.delete(running)
      goOn()
      if (beginning.kind === 'main' && otherwise === 'closed') {
        await this.#tellUncarried(running, { endpoint, begunAt, error: asPagemeshError(error) })
      }
      throw error
    }
    const { id } = relay.init
    onNews({ event: 'begun', id, guest: guest.name ?? UNKNOWN_GUEST, to, address: formatRelayAddress(address) })
    behind(this.#components.log, 'following a relay failed', this.#follow(running, goOn).then((result) => {
      onNews({ event: 'ended', id, result })
    }))
  }

  /** Runs until the outcome is known. */
  async #follow(running: Running, goOn: () => void): Promise<RelayResult> {
    const { clock } = this.#components
    const { relay, process } = running
    const begunAt = clock.now()
    await relay.over
    const totalMs = clock.now() - begunAt
    this.#running.delete(running)
    goOn()
    const outcome = outcomeOf(relay.told)
    if (outcome === 'cut') this.#keepCut(relay)
    const ending = endingOf(outcome, await this.#watch(process, outcome), relay.init.to)
    const mode = relay.told.isPostcopy ? 'postcopy' : 'precopy'
    await relay.settle({ ...ending, mode })
    const result = this.#resultOf(relay, { ending, mode, totalMs })
    if (result.qemuBytes > 0) await this.#init.onOver(result, { manager: relay.init.manager })
    return result
  }

  /** A migration ended before its first connection was made at the destination, or because it was not made. */
  async #tellUncarried(
    { relay, process }: Running, { endpoint, begunAt, error }: {
      endpoint: PeekedEndpoint; begunAt: number; error: PagemeshError
    },
  ): Promise<void> {
    const { clock } = this.#components
    const told = await hearUncarried({ clock }, endpoint)
    const ending = uncarriedEnding(told, {
      error, process: await this.#watch(process, 'failed'), to: relay.init.to,
    })
    const result = this.#resultOf(relay, { ending, mode: 'precopy', totalMs: clock.now() - begunAt })
    await this.#init.onOver(result, { manager: relay.init.manager })
  }

  #resultOf(
    relay: OutgoingRelay, { ending, mode, totalMs }: {
      ending: RelayEnding; mode: RelayResult['mode']; totalMs: number
    },
  ): RelayResult {
    const { to, guest } = relay.init
    const { counts: channels, summary, apart } = relay
    return relayResult({ guest, from: this.#components.mesh.self.name, to, mode }, ending, {
      totalMs, ...relay.traffic, channels, summary, spent: this.#init.spent(), apart,
    })
  }

  /** Whether the source QEMU has ended, which takes a moment after a success. */
  async #watch(process: ProcessIdentity | undefined, outcome: StreamOutcome): Promise<SourceProcess> {
    if (process === undefined) return 'unknown'
    const { clock } = this.#components
    const deadline = clock.now() + PROCESS_MS_MAX
    while (isAlive(process)) {
      if (outcome !== 'loaded' || clock.now() >= deadline || this.#life.signal.aborted) return 'lives'
      // An agent that stops does not wait any longer.
      await clock.sleep(PROCESS_EVERY_MS, this.#life.signal).catch(() => undefined)
    }
    return 'gone'
  }

  #keepCut(relay: OutgoingRelay): void {
    const { knowledge, init: { to, address, guest } } = relay
    if (knowledge === undefined) return
    this.#cut = [...this.#cut, { to, address: formatRelayAddress(address), guest, knowledge }].slice(-CUT_MAX)
  }

  /** Knowledge of the interrupted post-copy that this resumes: of the same guest, or to the same address. */
  #takeCut(to: string, address: RelayAddress, guest: string | undefined): StreamKnowledgeData | undefined {
    const text = formatRelayAddress(address)
    const mayBe = this.#cut.filter((cut) => cut.to === to)
    const found = mayBe.findLast((cut) => guest !== undefined && cut.guest === guest) ??
      mayBe.findLast((cut) => cut.address === text)
    this.#cut = this.#cut.filter((cut) => cut !== found)
    return found?.knowledge
  }
}
