/** A guest that is moved repeatedly, and a fault that strikes while its memory is being sent. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import { stateOf, waitFor, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { countOf, move, untilEnded, type GuestKind } from '../support/labmove.ts'

export interface Fault {
  title: string
  /** What the failed command's sentence must name; `to` is the destination host. */
  names: (to: string) => RegExp
  strike(cluster: LabCluster, ends: { from: string; to: string; destination: LabGuest }): Promise<void>
  /** Restores what the fault destroyed, except the destination QEMU. */
  mend(cluster: LabCluster, ends: { from: string; to: string }): Promise<void>
  /** Hosts whose agent survives. */
  survivors(ends: { from: string; to: string }): string[]
}

/** The most time from the fault to the end of the command. */
const END_WITHIN_MS = 10_000
const WAIT_MS = 60_000
const PAUSE_MS = 5
/** Time between two polls of an agent: each is a command, and takes a processor for a moment. */
const LOOK_PAUSE_MS = 200

/** Moves one guest between two hosts; each successful move changes where it lives. */
export class InterruptedMove {
  readonly #cluster: LabCluster
  readonly #kind: GuestKind
  #guest: LabGuest
  #from: string
  #to: string
  /** Resident bytes of each agent after each fault that it survived, by process. */
  readonly residentBytes = new Map<number, number[]>()

  constructor(cluster: LabCluster, kind: GuestKind, place: { guest: LabGuest; from: string; to: string }) {
    this.#cluster = cluster
    this.#kind = kind
    this.#guest = place.guest
    this.#from = place.from
    this.#to = place.to
  }

  /**
   * Begins a move, strikes once QEMU has written `afterBytes` of memory, and checks that the guest stays as it was and
   * nothing is left over. Returns false if the move was faster than the fault, which proves nothing.
   */
  async interrupt(fault: Fault, afterBytes: number): Promise<boolean> {
    const ends = { from: this.#from, to: this.#to }
    const destination = await this.#cluster.startGuest(this.#to, { ...this.#kind, incoming: true })
    const moving = this.#cluster.agent(this.#from).migrate(this.#kind.name, this.#to)
    await this.#untilSent(afterBytes, moving)
    await fault.strike(this.#cluster, { ...ends, destination })
    const struckAt = systemClock.now()
    const { status, result, errors } = await moving
    const tookMs = systemClock.now() - struckAt
    if (status === 0) {
      assert.equal(result?.status, 'completed')
      await fault.mend(this.#cluster, ends)
      await this.#settleIn(destination)
      return false
    }
    assert.equal(status, 1, errors)
    assert.ok(tookMs < END_WITHIN_MS, `the command ended ${tookMs} ms after the fault`)
    assert.equal(result?.status, 'failed')
    assert.match(result?.reason ?? '', fault.names(this.#to))
    assert.ok(errors.includes(result.reason!), 'the sentence is on standard error, too')
    await Promise.all([
      this.#expectGuestRunsOn(),
      untilEnded(destination),
      ...fault.survivors(ends).map((host) => this.#expectNothingLeft(host)),
    ])
    await fault.mend(this.#cluster, ends)
    await this.#untilJoined()
    for (const host of [this.#from, this.#to]) assert.deepEqual(this.#rendezvousOf(host), [])
    return true
  }

  /** Moves the guest successfully; later moves go the other way. */
  async succeed(): Promise<void> {
    const destination = await this.#cluster.startGuest(this.#to, { ...this.#kind, incoming: true })
    await move(this.#cluster, { guest: this.#guest, from: this.#from, to: this.#to, mode: 'precopy' })
    assert.equal(await stateOf(this.#guest), 'postmigrate')
    await destination.moreBeats(1)
    await this.#settleIn(destination)
  }

  async #settleIn(destination: LabGuest): Promise<void> {
    await this.#guest.stop()
    this.#guest = destination
    const from = this.#from
    this.#from = this.#to
    this.#to = from
    await this.#untilJoined()
  }

  async #untilSent(bytes: number, moving: Promise<unknown>): Promise<void> {
    let isOver = false
    void moving.then(() => { isOver = true })
    await waitFor(async () => {
      const { status, ramBytes } = await countOf(this.#guest)
      return isOver || (status === 'active' && ramBytes >= bytes) ? true : undefined
    }, { clock: systemClock, what: `${bytes} bytes of memory to be sent`, timeoutMs: WAIT_MS, pauseMs: PAUSE_MS })
  }

  async #expectGuestRunsOn(): Promise<void> {
    await waitFor(async () => {
      const { status } = await countOf(this.#guest)
      return status === 'failed' || status === 'cancelled' ? true : undefined
    }, { clock: systemClock, what: 'the source QEMU to give up the migration', timeoutMs: WAIT_MS })
    assert.equal(await stateOf(this.#guest), 'running')
    await this.#guest.moreBeats(1)
  }

  async #expectNothingLeft(host: string): Promise<void> {
    const agent = this.#cluster.agent(host)
    await waitFor(async () => {
      const { handoffs } = await agent.status()
      return handoffs.length === 0 ? true : undefined
    }, {
      clock: systemClock, what: `the agent of ${host} to end the handoff`, timeoutMs: WAIT_MS, pauseMs: LOOK_PAUSE_MS,
    })
    assert.deepEqual(this.#rendezvousOf(host), [])
    const seen = this.residentBytes.get(agent.pid) ?? []
    this.residentBytes.set(agent.pid, [...seen, residentBytesOf(agent.pid)])
  }

  /** Resolves when both agents see each other, and the guest where it is. */
  async #untilJoined(): Promise<void> {
    await waitFor(async () => {
      const [from, to] = await Promise.all([this.#from, this.#to].map((host) => this.#cluster.agent(host).status()))
      const isSeen = from!.guests.some(({ pid }) => pid === this.#guest.pid)
      return isSeen && from!.peers.length === 1 && to!.peers.length === 1 ? true : undefined
    }, {
      clock: systemClock, what: 'both agents to see each other', timeoutMs: WAIT_MS, pauseMs: LOOK_PAUSE_MS,
    })
  }

  /** Directories in which a QEMU and an agent meet. */
  #rendezvousOf(host: string): string[] {
    return readdirSync(join(this.#cluster.directory, host, 'control.sock.d'))
  }
}

function residentBytesOf(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1])
}
