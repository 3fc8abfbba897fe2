import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Random } from '../../runtime/random.ts'
import { withDeadline } from '../../runtime/wait.ts'
import { SelfDialedError } from '../network.ts'

/**
 * Delay between two attempts at one peer: doubled from the first to the last, randomised so that hosts do not dial in
 * step.
 */
const BACKOFF_MS_MIN = 250
const BACKOFF_MS_MAX = 4_000
const DIAL_TIMEOUT_MS = 10_000
/** Parallel attempts: a handshake takes some ten milliseconds of CPU at both ends, and waiting ones time out. */
const DIALS_MAX = 4
/** Of two hosts that learnt of each other one dials at once, the other only after this time. */
const OTHERS_TURN_MS = 10_000
/** A learnt peer that cannot be reached for this long is forgotten; bootstrap peers never are. */
const FORGET_MS = 600_000
/** Learnt peers; when full, further ones must dial this host. */
const LEARNT_MAX = 1_024
/** Learnt peers per announcing member that have not been reached yet: the member may have invented them. */
const UNPROVEN_PER_MEMBER_MAX = 64
/** A learnt peer that was never reached is forgotten after this time; if it exists, it is announced again. */
const FORGET_UNPROVEN_MS = 60_000

/** Wait after `failureCount` failures in a row (at least 1), in ms. `fraction` in [0, 1) randomises it. */
export function backoffMs(failureCount: number, fraction: number): number {
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(failureCount - 1, 16))
  return whole * (0.5 + fraction / 2)
}

interface Target {
  /** Multiaddrs, tried in turn. */
  addresses: string[]
  /** The peer that answered there last, or must answer. */
  peerId: string | undefined
  isLearnt: boolean
  /** The member that announced it, until it has been reached. */
  toldBy?: string | undefined
  /** Wakes the loop that waits for its peer to leave. */
  wake: () => void
}

interface RedialerInit {
  selfPeerId: () => string
  dial: (address: string, signal: AbortSignal) => Promise<string>
  isConnected: (peerId: string) => boolean
}

/** Keeps this host connected to its bootstrap peers and to learnt peers: one loop a peer, until stopped. */
export class Redialer {
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Log
  readonly #dial: RedialerInit['dial']
  readonly #isConnected: RedialerInit['isConnected']
  readonly #selfPeerId: RedialerInit['selfPeerId']
  readonly #learnt = new Map<string, Target>()
  readonly #targets = new Set<Target>()
  readonly #stop = new AbortController()
  #dialing = 0
  /** Loops that wait for a free attempt. */
  readonly #waiting: (() => void)[] = []
  readonly #loops = new Set<Promise<void>>()

  constructor(components: { clock: Clock; random: Random; log: Log }, init: RedialerInit) {
    this.#clock = components.clock
    this.#random = components.random
    this.#log = components.log
    this.#dial = init.dial
    this.#isConnected = init.isConnected
    this.#selfPeerId = init.selfPeerId
  }

  /** Begins to dial a bootstrap address; resolves after the first attempt, failed or not. */
  keepBootstrap(address: string): Promise<void> {
    return this.#begin({ addresses: [address], peerId: peerIdOf(address), isLearnt: false, wake: () => {} })
  }

  /**
   * Keeps this host connected to an announced peer; newer addresses replace older ones. `viaPeerId` is the member that
   * passed it on; it bounds how many unreached peers one member can add.
   */
  keepLearnt(peerId: string, addresses: string[], viaPeerId: string): void {
    const whole = addresses.map((address) => `${address}/p2p/${peerId}`)
    const known = this.#learnt.get(peerId)
    if (whole.length === 0) return
    if (known !== undefined) {
      known.addresses = whole
      return
    }
    if (this.#learnt.size >= LEARNT_MAX) return
    // A connected peer has proved itself already.
    const toldBy = this.#isConnected(peerId) || viaPeerId === peerId ? undefined : viaPeerId
    if (toldBy !== undefined && this.#unprovenBy(toldBy) >= UNPROVEN_PER_MEMBER_MAX) return
    const target: Target = { addresses: whole, peerId, isLearnt: true, toldBy, wake: () => {} }
    this.#learnt.set(peerId, target)
    // Never rejects: an address that does not answer is dialed again.
    void this.#begin(target)
  }

  #unprovenBy(viaPeerId: string): number {
    return [...this.#learnt.values()]
      .filter(({ toldBy, peerId }) => toldBy === viaPeerId && !this.#isConnected(peerId!)).length
  }

  peerLeft(peerId: string): void {
    for (const target of this.#targets) if (target.peerId === peerId) target.wake()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    for (const target of this.#targets) target.wake()
    // Loops that wait for an attempt go on, one after the other, as the attempts end.
    await Promise.all(this.#loops)
  }

  #begin(target: Target): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve()
    const firstAttempt = Promise.withResolvers<void>()
    this.#targets.add(target)
    const loop = this.#keep(target, firstAttempt.resolve).finally(() => {
      this.#loops.delete(loop)
      this.#targets.delete(target)
      if (target.isLearnt && target.peerId !== undefined) this.#learnt.delete(target.peerId)
    })
    this.#loops.add(loop)
    return firstAttempt.promise
  }

  async #keep(target: Target, onAttempt: () => void): Promise<void> {
    const { signal } = this.#stop
    if (target.isLearnt && target.peerId! < this.#selfPeerId()) {
      // Rejects only on stop, which the loop below sees.
      await this.#clock.sleep(OTHERS_TURN_MS * (0.5 + this.#random.fraction() / 2), signal).catch(() => {})
    }
    let failureCount = 0
    let reachedAt = this.#clock.now()
    while (!signal.aborted) {
      if (target.peerId !== undefined && this.#isConnected(target.peerId)) {
        onAttempt()
        target.toldBy = undefined
        await new Promise<void>((resolve) => { target.wake = resolve })
        failureCount = 0
        reachedAt = this.#clock.now()
        continue
      }
      const outcome = await this.#attempt(target, failureCount)
      onAttempt()
      if (outcome === 'self') return
      if (outcome === 'connected') continue
      failureCount += 1
      const forgetMs = target.toldBy === undefined ? FORGET_MS : FORGET_UNPROVEN_MS
      if (target.isLearnt && this.#clock.now() - reachedAt > forgetMs) return
      // Rejects only on stop, which the loop sees.
      await this.#clock.sleep(backoffMs(failureCount, this.#random.fraction()), signal).catch(() => {})
    }
  }

  async #attempt(target: Target, failureCount: number): Promise<'connected' | 'failed' | 'self'> {
    if (this.#dialing >= DIALS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#dialing += 1
    try {
      const isThere = target.peerId !== undefined && this.#isConnected(target.peerId)
      return isThere || this.#stop.signal.aborted ? 'connected' : await this.#dialOnce(target, failureCount)
    } finally {
      this.#dialing -= 1
      this.#waiting.shift()?.()
    }
  }

  async #dialOnce(target: Target, failureCount: number): Promise<'connected' | 'failed' | 'self'> {
    const address = target.addresses[failureCount % target.addresses.length]!
    const { signal } = this.#stop
    const late = (): Error => new Error('the dial timed out')
    try {
      const peerId = await withDeadline(this.#clock, { signal, limitMs: DIAL_TIMEOUT_MS, late }, (within) => {
        return this.#dial(address, within)
      })
      target.peerId = peerId
      return this.#isConnected(peerId) ? 'connected' : 'failed'
    } catch (error) {
      if (error instanceof SelfDialedError) return 'self'
      this.#log.debug('a peer was not reached', { address, reason: error instanceof Error ? error.message : error })
      return 'failed'
    }
  }
}

function peerIdOf(address: string): string | undefined {
  return /\/p2p\/([A-Za-z0-9]+)$/.exec(address)?.[1]
}
