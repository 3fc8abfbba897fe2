import type { Log } from '../../runtime/log.ts'
import type { Verdict } from '../admission/proofcodec.ts'
import type { Member, Unsubscribe } from '../mesh.ts'

type Listener = (change: 'joined' | 'left', member: Member) => void

/** The connected members, each name at most once. Bounded by the connections that the network allows. */
export class MemberTable {
  readonly #log: Log
  readonly #byName = new Map<string, Member>()
  readonly #byPeerId = new Map<string, Member>()
  readonly #listeners = new Set<Listener>()

  constructor(components: { log: Log }) {
    this.#log = components.log
  }

  all(): Member[] {
    return [...this.#byName.values()]
  }

  named(name: string): Member | undefined {
    return this.#byName.get(name)
  }

  ofPeer(peerId: string): Member | undefined {
    return this.#byPeerId.get(peerId)
  }

  /** Whether a host of this name and identity may join beside `self` and the present members. */
  admit(self: { name: string; peerId: string }, name: string, peerId: string): Verdict {
    const holder = name === self.name ? self : this.#byName.get(name)
    return holder === undefined || holder.peerId === peerId
      ? { code: 'accepted' }
      : { code: 'name-taken', holderName: name, holderPeerId: holder.peerId }
  }

  /** Adds a member or its new address; a host that came back under another name leaves under the old one first. */
  add(member: Member): void {
    const known = this.#byPeerId.get(member.peerId)
    if (known?.name === member.name) {
      known.address = member.address
      return
    }
    if (known !== undefined) this.remove(known.peerId)
    this.#byName.set(member.name, member)
    this.#byPeerId.set(member.peerId, member)
    this.#log.info('a member joined', { member: member.name, peerId: member.peerId, address: member.address })
    for (const listener of [...this.#listeners]) listener('joined', { ...member })
  }

  remove(peerId: string): void {
    const member = this.#byPeerId.get(peerId)
    if (member === undefined) return
    this.#byPeerId.delete(peerId)
    this.#byName.delete(member.name)
    this.#log.info('a member left', { member: member.name, peerId })
    for (const listener of [...this.#listeners]) listener('left', { ...member })
  }

  onChange(listener: Listener): Unsubscribe {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }
}
