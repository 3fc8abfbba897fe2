import type { Member, Mesh, Unsubscribe } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'

interface Stay {
  member: Member
  joinedAt: number
  askedAt: number
}

/** Who is in the mesh, since when, and who was until lately. */
export class Members {
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #stays = new Map<string, Stay>()
  readonly #peers = new Map<string, Stay>()
  /** When those who left did so, by name. */
  readonly #leftAt = new Map<string, number>()
  #changedAt: number
  #isChanged = true
  /** When the first change came that was not told yet. */
  #untoldSince: number

  /** @param init.graceMs who left may come back within it, and nothing is forgotten. */
  constructor(components: { clock: Clock }, init: { graceMs: number }) {
    this.#clock = components.clock
    this.#graceMs = init.graceMs
    this.#changedAt = components.clock.now()
    this.#untoldSince = this.#changedAt
  }

  /** Follows the mesh until the returned function is called. */
  watch(mesh: Mesh): Unsubscribe {
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

  /** For how long nobody came or went, ms: after a while hosts agree on who owns what. */
  get quietMs(): number {
    return this.#clock.now() - this.#changedAt
  }

  /**
   * Whether somebody came or went since this said so last. Where many come and go at once it waits for `quietMs`
   * without a change, `quietMs` four times over at the most.
   */
  takeChanged(quietMs: number): boolean {
    const now = this.#clock.now()
    if (!this.#isChanged || (now - this.#changedAt < quietMs && now - this.#untoldSince < 4 * quietMs)) return false
    this.#isChanged = false
    return true
  }

  /** Names of those who left and stayed away for the time of grace; each is named once. */
  takeGone(): string[] {
    const gone = [...this.#leftAt].filter(([, at]) => this.#clock.now() - at >= this.#graceMs).map(([name]) => name)
    for (const name of gone) this.#leftAt.delete(name)
    return gone
  }

  /** A member that has been here for `stayedMs`, and was not named by this in the last `gapMs`. */
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
