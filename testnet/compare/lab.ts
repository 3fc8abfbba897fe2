/**
 * The hosts and guests of the comparison. All boot once; between measurements only the links' rates, the running guests
 * and the agents' configurations change.
 *
 *   host a: quiet (idle), web (busy), and more idle ones       these move, and are back at a after each measurement
 *   host b: database, compile                                  have done some work, then stand still
 *   host c: no guest
 */
import { join } from 'node:path'

import { askAgent, type ControlRequest } from '../../src/daemon/control/index.ts'
import type { AgentStatus } from '../../src/index.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import {
  clearDirtyLog, createCluster, stateOf, waitFor, type GuestOptions, type LabCluster, type LabGuest,
} from '../index.ts'
import { LINK_BYTES_PER_SECOND, type Cell, type LeftOut } from './cells.ts'
import type { Accounts, Beforehand } from './sample.ts'

export type GuestDescription = Omit<GuestOptions, 'directory' | 'host'>

export interface Mover {
  description: GuestDescription
  /** The QEMU in which it lives between measurements. */
  guest: LabGuest
}

export const HOSTS = ['a', 'b', 'c'] as const
export const GUEST_MEMORY_MIB = 512

type HostName = typeof HOSTS[number]
type Settings = Record<string, unknown>

const SETTINGS = { census: { intervalSeconds: 20 } }
const NEIGHBOURS = ['database', 'compile'] as const
/** Half of the pages that the guests have in common: with fewer, the view is not complete yet. */
const POPULAR_PAGES_MIN = 10_000
const SETTLE_TIMEOUT_MS = 180_000
const ANSWER_MS_MAX = 30_000

export class ComparisonLab {
  readonly clock: Clock
  readonly cluster: LabCluster
  readonly #movers = new Map<string, Mover>()
  readonly #settings = new Map<HostName, string>()
  #rate: number | undefined | 'unknown' = 'unknown'

  private constructor(clock: Clock, cluster: LabCluster) {
    this.clock = clock
    this.cluster = cluster
  }

  /** Makes the hosts; call `boot` and `startAgents` next. `close` removes everything. */
  static async create(clock: Clock): Promise<ComparisonLab> {
    return new ComparisonLab(clock, await createCluster({ hosts: HOSTS, withoutAgents: true, settings: SETTINGS }))
  }

  /** Boots the guests; those that stay do some work and are then stopped. */
  async boot(): Promise<void> {
    const neighbours = NEIGHBOURS.map(async (work) => {
      const guest = await this.cluster.startGuest('b', { name: work, work, memoryMiB: GUEST_MEMORY_MIB })
      await guest.ready()
      await guest.qmp.execute('stop')
    })
    await Promise.all([this.#bootMover('quiet', 'idle'), this.#bootMover('web', 'web'), ...neighbours])
  }

  /** Boots idle guests beside `quiet`, until `count` can leave together. */
  async bootMore(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count - 1 }, (_, index) => `quiet${index + 2}`)
      .filter((name) => !this.#movers.has(name)).map((name) => this.#bootMover(name, 'idle')))
  }

  /** Ends the guests of `bootMore`. */
  async endMore(): Promise<void> {
    for (const [name, { guest }] of this.#movers) {
      if (name === 'quiet' || name === 'web') continue
      await guest.stop()
      this.#movers.delete(name)
    }
  }

  /** Starts the agents and waits until c keeps what a and b have in common. */
  async startAgents(): Promise<void> {
    for (const host of HOSTS) {
      await this.cluster.restartAgent(host)
      this.#settings.set(host, '{}')
    }
    await this.#known(true)
  }

  async beforehand(): Promise<Beforehand> {
    const { store, popularity } = await this.status('c')
    return { accounts: await this.accounts(), storePages: store.pages, popularPages: popularity.pages }
  }

  /** Sets links, agents and guests up for a cell; returns the guests that shall move. */
  async prepare(cell: Cell): Promise<Mover[]> {
    if (cell.count > 1) await this.bootMore(cell.count)
    await this.#configure(settingsOf(cell))
    // Last: restarted agents settle without a limit on the links.
    await this.#shape(LINK_BYTES_PER_SECOND[cell.link])
    const names = cell.guest === 'busy'
      ? ['web'] : [...this.#movers.keys()].filter((name) => name !== 'web').slice(0, cell.count)
    for (const [name, { guest }] of this.#movers) await setRunning(guest, names.includes(name))
    await this.settled()
    return names.map((name) => this.#movers.get(name)!)
  }

  /** Resolves when all agents see each other, have scanned the running guests, and have nothing left to fetch. */
  async settled(): Promise<void> {
    await waitFor(async () => {
      const all = await Promise.all(HOSTS.map((host) => this.status(host)))
      const isSettled = all.every(({ settled, peers }) => settled && peers.length === HOSTS.length - 1)
      return isSettled && await this.#seesMovers(all[0]!) ? true : undefined
    }, { clock: this.clock, what: 'the agents to settle', timeoutMs: SETTLE_TIMEOUT_MS, pauseMs: 200 })
  }

  status(host: HostName): Promise<AgentStatus> {
    return this.ask(host, { command: 'status' }, ANSWER_MS_MAX)
  }

  /** Over the control socket: starting the command would take part of the measured time. */
  ask<Result>(host: HostName, request: ControlRequest, answerMsMax?: number): Promise<Result> {
    const path = join(this.cluster.directory, host, 'control.sock')
    return askAgent<Result>({ path, request, ...(answerMsMax === undefined ? {} : { answerMsMax }) })
  }

  /** Bytes that all agents have sent since they started. */
  async accounts(): Promise<Accounts> {
    const sum: Accounts = { report: 0, gossip: 0, swap: 0, peers: 0, handoff: 0 }
    for (const { traffic } of await Promise.all(HOSTS.map((host) => this.status(host)))) {
      for (const account of Object.keys(sum) as (keyof Accounts)[]) sum[account] += traffic[account].sentBytes
    }
    return sum
  }

  get agentPids(): number[] {
    return HOSTS.map((host) => this.cluster.agent(host).pid)
  }

  close(): Promise<void> {
    return this.cluster.close()
  }

  async #bootMover(name: string, work: 'idle' | 'web'): Promise<void> {
    const description: GuestDescription = { name, work, memoryMiB: GUEST_MEMORY_MIB, heartbeat: true }
    const guest = await this.cluster.startGuest('a', description)
    await guest.ready()
    await clearDirtyLog(guest, this.clock)
    await guest.qmp.execute('stop')
    this.#movers.set(name, { description, guest })
  }

  async #shape(bytesPerSecond: number | undefined): Promise<void> {
    if (this.#rate === bytesPerSecond) return
    for (const host of HOSTS) await this.cluster.network.shape(host, bytesPerSecond)
    this.#rate = bytesPerSecond
  }

  async #configure(wanted: Readonly<Record<HostName, Settings>>): Promise<void> {
    const changed = HOSTS.filter((host) => this.#settings.get(host) !== JSON.stringify(wanted[host]))
    if (changed.length === 0) return
    // Without a limit: the agents' start is not measured.
    await this.#shape(undefined)
    for (const host of changed) {
      await this.cluster.agent(host).stop()
      await this.cluster.restartAgent(host, wanted[host])
      this.#settings.set(host, JSON.stringify(wanted[host]))
    }
    await this.#known(!('store' in wanted.c))
  }

  /** Resolves when c knows the popular pages, and has stored them if it keeps any. */
  async #known(keeps: boolean): Promise<void> {
    await waitFor(async () => {
      const { popularity, store, settled } = await this.status('c')
      const pages = keeps ? Math.min(popularity.pages, store.pages) : popularity.pages
      return settled && pages >= POPULAR_PAGES_MIN ? true : undefined
    }, { clock: this.clock, what: 'c to know and keep what is popular', timeoutMs: SETTLE_TIMEOUT_MS, pauseMs: 500 })
    await this.settled()
  }

  /** Whether a's agent has scanned all running guests of a. */
  async #seesMovers({ guests }: AgentStatus): Promise<boolean> {
    for (const { guest } of this.#movers.values()) {
      if (await stateOf(guest) !== 'running') continue
      const known = guests.find(({ name }) => name === guest.name)
      if (known?.state !== 'running' || known.distinctPages === 0) return false
    }
    return true
  }
}

/** The agents' configuration for a cell, beyond the common one. Pure. */
function settingsOf({ destination, leftOut }: Pick<Cell, 'destination' | 'leftOut'>): Record<HostName, Settings> {
  const withoutStore = { store: { maxBytes: 0 } }
  const withoutPeers = { handoff: { peers: false } }
  const atC: Record<LeftOut, Settings> = {
    none: {}, references: {}, compression: {}, store: withoutStore, peers: withoutPeers,
  }
  const isAtSource = leftOut === 'references' || leftOut === 'compression'
  return {
    a: isAtSource ? { handoff: { [leftOut]: false } } : {},
    b: {},
    c: destination === 'nothing' ? { ...withoutStore, ...withoutPeers } : atC[leftOut],
  }
}

/** Lets a guest run or stand still, whatever its state; a guest that was moved away can run on at its source. */
async function setRunning(guest: LabGuest, isWanted: boolean): Promise<void> {
  const isRunning = await stateOf(guest) === 'running'
  if (isRunning !== isWanted) await guest.qmp.execute(isWanted ? 'cont' : 'stop')
}
