import type { Member, Unsubscribe } from '../mesh/index.ts'
import type { Timer } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import { isTold, type Told } from './asking.ts'
import type { Steps, StepsParts } from './steps.ts'

/** How long members are awaited before those that came are asked, ms: after a start they come all at once. */
const GATHER_MS = 1_000
/** How often a host with two keys asks all members whether one was removed. */
const LOOK_MS = 60_000

/**
 * Brings along hosts that were away during a step. A host that comes back and has both keys follows the others: it
 * removes the key that they removed. One that lacks the new key is sent it by the host at which the rotation was
 * ordered, if that knew its identity then; a host that nobody knew gets nothing, and only learns that it lacks a key.
 */
export class CatchingUp {
  readonly #parts: StepsParts
  readonly #steps: Steps
  /** Hosts that were away when this host ordered a step: the identity of each name. */
  readonly #owed = new Map<string, string>()
  /** Keys that members have and this host lacks, by peer id. */
  readonly #foreign = new Map<string, string[]>()
  readonly #joined = new Map<string, Member>()
  #gathering: Timer | undefined

  constructor(parts: StepsParts, steps: Steps) {
    this.#parts = parts
    this.#steps = steps
  }

  /** Keys that members have and this host lacks. */
  lacking(): string[] {
    const { ring, removed, mesh } = this.#parts
    const here = new Set(mesh.members().map(({ peerId }) => peerId))
    const ids = [...this.#foreign].flatMap(([peerId, foreign]) => (here.has(peerId) ? foreign : []))
    return [...new Set(ids)].filter((id) => ring.find(id) === undefined && !removed.ids().includes(id)).sort()
  }

  /** These hosts were away when a step was ordered here: they get it when they come. */
  owe(hosts: ReadonlyMap<string, string>): void {
    for (const [name, peerId] of hosts) this.#owed.set(name, peerId)
  }

  start(): Unsubscribe {
    const { mesh, clock, ring } = this.#parts
    const stopFollowing = mesh.onMember((change, member) => {
      if (change === 'joined') this.#gather([member])
      else this.#foreign.delete(member.peerId)
    })
    this.#gather(mesh.members())
    const looking = clock.every(LOOK_MS, () => { if (ring.other !== undefined) this.#gather(mesh.members()) })
    return () => {
      stopFollowing()
      looking.cancel()
      this.#gathering?.cancel()
      this.#gathering = undefined
    }
  }

  #gather(members: readonly Member[]): void {
    for (const member of members) this.#joined.set(member.peerId, member)
    if (this.#joined.size === 0) return
    this.#gathering ??= this.#parts.clock.after(GATHER_MS, () => {
      this.#gathering = undefined
      const asked = [...this.#joined.values()]
      this.#joined.clear()
      this.#follow(asked).catch((error: unknown) => {
        const { log } = this.#parts
        log.warn('this host could not follow a rotation of the cluster key', { error: describeError(error) })
      })
    })
  }

  async #follow(members: readonly Member[]): Promise<void> {
    const { asker, ring } = this.#parts
    const told = (await asker.askAll(members)).filter(isTold)
    for (const { member: { peerId }, ids } of told) {
      this.#foreign.set(peerId, ids.filter((id) => ring.find(id) === undefined))
    }
    const [gone, ...rest] = ring.all.filter(({ id }) => told.some(({ removed }) => removed.includes(id)))
    const kept = ring.all.find((key) => key !== gone)
    if (gone !== undefined && kept !== undefined && rest.length === 0) {
      const by = told.find(({ removed }) => removed.includes(gone.id))!.member
      await this.#steps.take({ do: 'use', id: kept.id }, by, { asksMembers: true })
      await this.#steps.take({ do: 'remove', id: gone.id }, by, { asksMembers: true })
    }
    for (const one of told) if (this.#owed.get(one.member.name) === one.member.peerId) await this.#bring(one)
  }

  /** Sends a host that was away what it missed. */
  async #bring({ member, ids }: Told): Promise<void> {
    const { asker, ring, removed, log } = this.#parts
    const steps = [
      ...ring.all.filter(({ id }) => !ids.includes(id)).map((key) => ({ do: 'install', key: key.clusterKey } as const)),
      ...(ids[0] === ring.used.id ? [] : [{ do: 'use', id: ring.used.id } as const]),
      ...ids.filter((id) => removed.ids().includes(id)).map((id) => ({ do: 'remove', id } as const)),
    ]
    for (const step of steps) {
      const [one] = await asker.askAll([member], step)
      const refused = one === undefined || isTold(one) ? one?.refused : one.error
      if (refused === undefined) continue
      log.warn('a host that was away did not take a step of the rotation', {
        member: member.name, step: step.do, error: describeError(refused),
      })
      return
    }
    this.#owed.delete(member.name)
    if (steps.length > 0) log.info('a host that was away has the cluster keys now', { member: member.name })
  }
}
