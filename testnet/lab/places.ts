import { stateOf, type LabAgent, type LabCluster, type LabGuest } from '../index.ts'
import { LabError } from '../laberror.ts'
import type { Recorder } from './recorder.ts'
import type { GuestPlan, Scenario } from './scenario.ts'

/** The host and QEMU of a guest. */
export interface Place {
  plan: GuestPlan
  host: string
  qemu: LabGuest
}

/** Where everything in a run is: guests, waiting QEMUs, agents, and hosts that are cut off. */
export class Places {
  readonly #cluster: LabCluster
  readonly #recorder: Recorder
  readonly #plans: ReadonlyMap<string, GuestPlan>
  /** Undefined: lost with its host. */
  readonly #places = new Map<string, Place | undefined>()
  /** By guest and host. */
  readonly #waiting = new Map<string, LabGuest>()
  /** All living QEMUs, by the guest's name. */
  readonly #qemus = new Map<string, Set<LabGuest>>()
  readonly #running = new Set<string>()
  readonly #cut = new Set<string>()
  /** All agents, in the order of their starts. */
  readonly agents: LabAgent[] = []

  constructor(components: { cluster: LabCluster; recorder: Recorder }, init: { scenario: Scenario }) {
    this.#cluster = components.cluster
    this.#recorder = components.recorder
    this.#plans = new Map(init.scenario.guests.map((plan) => [plan.name, plan]))
  }

  /** Boots a guest at its first host. */
  async boot(name: string): Promise<void> {
    const plan = this.#plan(name)
    const qemu = await this.#start(plan, plan.host, false)
    this.#places.set(name, { plan, host: plan.host, qemu })
    await qemu.ready()
    await qemu.moreBeats(1)
  }

  /** Starts a waiting QEMU for a guest. */
  async prepare(name: string, host: string): Promise<void> {
    const qemu = await this.#start(this.#plan(name), host, true)
    this.#waiting.set(`${name} ${host}`, qemu)
  }

  /** The waiting QEMU of the guest at a host, if there is one; it no longer counts as waiting. */
  takeWaiting(name: string, host: string): LabGuest | undefined {
    const qemu = this.#waiting.get(`${name} ${host}`)
    this.#waiting.delete(`${name} ${host}`)
    return qemu
  }

  /** Throws LabError `lab-guest-lost`. */
  require(name: string): Place {
    const place = this.#places.get(name)
    if (place !== undefined) return place
    throw new LabError('lab-guest-lost', `The guest ${name} is nowhere.`)
  }

  /** Every booted guest with its place; undefined if its host crashed. */
  all(): [string, Place | undefined][] {
    return [...this.#places]
  }

  guestsOn(host: string): string[] {
    return this.all().filter(([, place]) => place?.host === host).map(([name]) => name)
  }

  /** The guest now lives in another QEMU; its old one ends. */
  async moved(name: string, host: string, qemu: LabGuest): Promise<void> {
    const left = this.require(name)
    this.#places.set(name, { plan: left.plan, host, qemu })
    await this.end(left.qemu)
  }

  async end(qemu: LabGuest): Promise<void> {
    this.#qemus.get(qemu.name)?.delete(qemu)
    await qemu.stop()
  }

  /** Hosts whose QEMU runs the guest. */
  async runsOn(name: string): Promise<string[]> {
    const found: string[] = []
    for (const qemu of this.#qemus.get(name) ?? []) if (await isRunning(qemu)) found.push(hostOf(qemu))
    return found
  }

  async startAgent(host: string, settings?: Readonly<Record<string, unknown>>): Promise<void> {
    this.agents.push(await this.#cluster.restartAgent(host, settings))
    this.#running.add(host)
  }

  async endAgent(host: string, how: 'stop' | 'kill'): Promise<void> {
    this.#running.delete(host)
    await this.#cluster.agent(host)[how]()
  }

  /** Hosts whose agent others can reach. */
  connected(): string[] {
    return [...this.#running].filter((host) => !this.#cut.has(host))
  }

  async cut(hosts: readonly string[]): Promise<void> {
    for (const host of hosts) this.#cut.add(host)
    await this.#cluster.network.cut(...hosts)
  }

  async restore(hosts: readonly string[]): Promise<void> {
    await this.#cluster.network.restore(...hosts)
    for (const host of hosts) this.#cut.delete(host)
  }

  /** Cuts the host off at once, then ends all its processes: no peer gets a farewell. */
  async crash(host: string): Promise<void> {
    await this.cut([host])
    const lost = this.guestsOn(host)
    const here = [...this.#qemus.values()].flatMap((qemus) => [...qemus]).filter((qemu) => hostOf(qemu) === host)
    for (const name of lost) this.#places.set(name, undefined)
    await Promise.all([this.endAgent(host, 'kill'), ...here.map((qemu) => this.end(qemu))])
  }

  #plan(name: string): GuestPlan {
    return this.#plans.get(name)!
  }

  async #start(plan: GuestPlan, host: string, incoming: boolean): Promise<LabGuest> {
    const { name, work, system, memoryMiB } = plan
    const qemu = await this.#cluster.startGuest(host, {
      name, work, incoming,
      ...(system === undefined ? {} : { system }), ...(memoryMiB === undefined ? {} : { memoryMiB }),
    })
    const qemus = this.#qemus.get(name) ?? new Set()
    this.#qemus.set(name, qemus.add(qemu))
    // A guest that starts to run while another copy runs is a double, at any moment.
    qemu.qmp.onEvent((event) => {
      // Never rejects: a QEMU that does not answer does not run.
      if (event.name === 'RESUME') void this.#expectNoOther(qemu)
    })
    return qemu
  }

  async #expectNoOther(qemu: LabGuest): Promise<void> {
    for (const other of this.#qemus.get(qemu.name) ?? []) {
      if (other !== qemu && await isRunning(other)) this.#recorder.double(qemu.name, [hostOf(other), hostOf(qemu)])
    }
  }
}

/** What a QEMU does, such as `running`; undefined if it is no more. */
export async function stateIfThere(qemu: LabGuest): Promise<string | undefined> {
  // It has ended, or hung up to end.
  return await stateOf(qemu).catch(() => undefined)
}

async function isRunning(qemu: LabGuest): Promise<boolean> {
  return await stateIfThere(qemu) === 'running'
}

function hostOf(qemu: LabGuest): string {
  return qemu.host?.name ?? ''
}
