import type { Member, MeshPart, Unsubscribe } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'

interface Stay {
  member: Member
  joinedAt: number
  askedAt: number
}

/** Who is in the mesh, since when, and who left recently. */
export class Members {
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #stays = new Map<string, Stay>()
  readonly #peers = new Map<string, Stay>()
  /** When each absent member left, by name. */
  readonly #leftAt = new Map<string, number>()
  #changedAt: number
  #isChanged = true
  /** When the first change came that `takeChanged` has not reported. */
  #untoldSince: number

  /** @param init.graceMs a member that left may come back within this time, and nothing of it is forgotten. */
  constructor(components: { clock: Clock }, init: { graceMs: number }) {
    this.#clock = components.clock
    this.#graceMs = init.graceMs
    this.#changedAt = components.clock.now()
    this.#untoldSince = this.#changedAt
  }

  /** Follows the mesh until the returned function is called. */
  watch(mesh: MeshPart): Unsubscribe {
    const unsubscribe = mesh.onMember((change, member) => {
      if (change === 'joined') this.#join(member)
      else this.#leave(member)
    })
    for (const member of mesh.members()) this.#join(member)
    return () => {
      unsubscribe()
      for (const { member } of [...this.#stays.values()]) this.#leave(member)
    }
  }

  get names(): string[] {
    return [...this.#stays.keys()]
  }

  get all(): Member[] {
    return [...this.#stays.values()].map(({ member }) => member)
  }

  get count(): number {
    return this.#stays.size
  }

  named(name: string): Member | undefined {
    return this.#stays.get(name)?.member
  }

  ofPeer(peerId: string): Member | undefined {
    return this.#peers.get(peerId)?.member
  }

  /** Time since the last member joined or left, ms: after a while hosts agree on the owners. */
  get quietMs(): number {
    return this.#clock.now() - this.#changedAt
  }

  /**
   * Whether a member joined or left since the last `true`. While many come and go it waits for `quietMs` without a
   * change, for four times `quietMs` at most.
   */
  takeChanged(quietMs: number): boolean {
    const now = this.#clock.now()
    if (!this.#isChanged || (now - this.#changedAt < quietMs && now - this.#untoldSince < 4 * quietMs)) return false
    this.#isChanged = false
    return true
  }

  /** Names of members that left and stayed away for `graceMs`; each is returned once. */
  takeGone(): string[] {
    const gone = [...this.#leftAt].filter(([, at]) => this.#clock.now() - at >= this.#graceMs).map(([name]) => name)
    for (const name of gone) this.#leftAt.delete(name)
    return gone
  }

  /** A member that has been here for `stayedMs` and that this did not return in the last `gapMs`. */
  takeStayer(stayedMs: number, gapMs: number, isWanted: (member: Member) => boolean): Member | undefined {
    const now = this.#clock.now()
    for (const stay of this.#stays.values()) {
      if (now - stay.joinedAt < stayedMs || now - stay.askedAt < gapMs || !isWanted(stay.member)) continue
      stay.askedAt = now
      return stay.member
    }
    return undefined
  }

  #join(member: Member): void {
    const stay = { member, joinedAt: this.#clock.now(), askedAt: -Infinity }
    this.#stays.set(member.name, stay)
    this.#peers.set(member.peerId, stay)
    this.#leftAt.delete(member.name)
    this.#note()
  }

  #leave(member: Member): void {
    this.#stays.delete(member.name)
    this.#peers.delete(member.peerId)
    this.#leftAt.set(member.name, this.#clock.now())
    this.#note()
  }

  #note(): void {
    this.#changedAt = this.#clock.now()
    if (!this.#isChanged) this.#untoldSince = this.#changedAt
    this.#isChanged = true
  }
}
