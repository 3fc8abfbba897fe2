/**
 * Tells two hosts that run with one identity, as after a disk was copied, from one host that was started anew. Each
 * start of the mesh is an instance with a number of its own. When another instance of an identity proves the key, the
 * connections of the one before are closed. An instance that has ended never comes back; one that lives connects again:
 * then there are two. Neither may join until one of them has not been seen for a while.
 */
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'

/** An identity with which several hosts run. */
export interface Doubled {
  name: string
  peerId: string
}

/** Hosts that are refused dial again within seconds. */
const GONE_MS = 60_000
const LOG_EVERY_MS = 60_000
/** What to do about it. */
const DOUBLED_ADVICE = 'Stop the agent of the copied host, remove the files of its identity and its store ' +
  '(store.path), give it a name of its own, and start it again.'
const DOUBLE_LIMITS = { identities: 2_048, instances: 8 } as const

interface Instances {
  name: string
  /** The instance that came last; each with when it was seen, the latest last. */
  seenAt: Map<string, number>
  isDoubled: boolean
  loggedAt: number
}

export class Doubles {
  readonly #clock: Clock
  readonly #log: Log
  readonly #known = new Map<string, Instances>()
  #self: (Doubled & { seenAt: number; loggedAt: number }) | undefined

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  /**
   * Notes that an instance of this identity proved the key. `newer`: it is another than before, and may join in its
   * place; `doubled`: it may not.
   */
  seen(name: string, peerId: string, instance: string): 'same' | 'newer' | 'doubled' {
    const now = this.#clock.now()
    const known: Instances = this.#known.get(peerId) ??
      { name, seenAt: new Map<string, number>(), isDoubled: false, loggedAt: -Infinity }
    this.#known.delete(peerId)
    this.#known.set(peerId, known)
    if (this.#known.size > DOUBLE_LIMITS.identities) this.#known.delete(this.#known.keys().next().value!)
    const last = [...known.seenAt.keys()].at(-1)
    const cameBack = last !== instance && known.seenAt.has(instance)
    known.name = name
    known.seenAt.delete(instance)
    known.seenAt.set(instance, now)
    if (known.seenAt.size > DOUBLE_LIMITS.instances) known.seenAt.delete(known.seenAt.keys().next().value!)
    if (cameBack) known.isDoubled = true
    if (known.isDoubled && !this.#othersLive(known, instance)) {
      known.isDoubled = false
      known.seenAt = new Map([[instance, now]])
      this.#log.info('an identity is one host\'s again', { name, peerId })
    }
    if (known.isDoubled) this.#warn(known, peerId, 'two hosts run with one identity: both are refused')
    return known.isDoubled ? 'doubled' : last === undefined || last === instance ? 'same' : 'newer'
  }

  /** Whether the identity may not join now. */
  isDoubled(peerId: string): boolean {
    return this.#known.get(peerId)?.isDoubled === true
  }

  /** This host met another one with its own identity, or a member says that there is one. */
  met(self: Doubled): void {
    const now = this.#clock.now()
    this.#self = { ...self, seenAt: now, loggedAt: this.#self?.loggedAt ?? -Infinity }
    this.#warn(this.#self, self.peerId, 'another host runs with this host\'s identity')
  }

  /** Those of now, this host's own first. */
  all(): Doubled[] {
    const now = this.#clock.now()
    const others = [...this.#known].filter(([, { isDoubled, seenAt }]) =>
      isDoubled && [...seenAt.values()].some((at) => now - at < GONE_MS))
    const { name = '', peerId = '', seenAt = -Infinity } = this.#self ?? {}
    return [
      ...now - seenAt < GONE_MS ? [{ name, peerId }] : [],
      ...others.map(([peer, { name }]) => ({ name, peerId: peer })),
    ]
  }

  #othersLive({ seenAt }: Instances, instance: string): boolean {
    const now = this.#clock.now()
    return [...seenAt].some(([other, at]) => other !== instance && now - at < GONE_MS)
  }

  #warn(known: { name: string; loggedAt: number }, peerId: string, message: string): void {
    const now = this.#clock.now()
    if (now - known.loggedAt < LOG_EVERY_MS) return
    known.loggedAt = now
    this.#log.error(message, { name: known.name, peerId, advice: DOUBLED_ADVICE })
  }
}
