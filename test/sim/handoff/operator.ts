/**
 * An operator who looks at both hosts: resumes interrupted post-copies, and decides about held copies, but only as the
 * truth allows, and never while the two ends are connected.
 */
import type { World } from './world.ts'

/** How long the two ends may take to settle by themselves, ms. */
const PATIENCE_MS = 100_000
const RECOVER_EVERY_MS = 1000

export class Operator {
  readonly #world: World
  #lastRecoverMs = 0
  #calmSinceMs: number | undefined

  constructor(world: World) {
    this.#world = world
  }

  /** Looks again, after the faults. */
  tick(): void {
    const now = this.#world.clock.now()
    this.#calmSinceMs ??= now
    this.recover()
    if (now - this.#calmSinceMs < PATIENCE_MS) return
    this.#endSilent()
    this.settle()
    this.#goOnByHand()
  }

  recover(): void {
    const { clock, hosts } = this.#world
    const now = clock.now()
    if (hosts.source.runner?.state.at === 'cut' && now - this.#lastRecoverMs >= RECOVER_EVERY_MS) {
      this.#lastRecoverMs = now
      hosts.source.runner.dispatch({ kind: 'rejoin' })
    }
  }

  settle(): void {
    const { hosts, network, truth, source } = this.#world
    const { runner } = hosts.destination
    if (runner === undefined || network.link?.isUp === true) return
    if (runner.state.at !== 'holding' && runner.state.at !== 'cut') return
    const decision = this.#decide()
    if (decision === undefined) return
    if (decision === 'run' && runner.state.at === 'cut' && !source.isAlive) return
    this.#world.note('operator', 'settles', decision)
    truth.settledAs = decision
    runner.dispatch({ kind: 'settle', decision })
  }

  /** The destination's copy may run only if the source's never will. */
  #decide(): 'run' | 'end' | undefined {
    const { source, hosts } = this.#world
    if (source.keeps) return 'end'
    if (!source.isAlive) return 'run'
    if (source.isPast) return 'run'
    if (source.status !== 'completed' || !hosts.source.isUp) return undefined
    // The source's end does not continue the guest: it is not being taken back.
    const { runner, disk } = hosts.source
    if (runner === undefined) return disk.record === undefined ? 'run' : undefined
    return runner.isDelivered && (runner.state.at === 'over' || runner.state.at === 'unconfirmed') ? 'run' : undefined
  }

  /** The destination's copy is gone and never ran, and the source's host asks its operator. */
  get isNeeded(): boolean {
    const { source, destination, hosts, truth } = this.#world
    if (truth.lastOutgoing?.as !== 'held' || hosts.source.runner?.state.at !== 'over') return false
    return source.isAlive && source.status === 'completed' && !source.keeps && !source.isPast &&
      !destination.isAlive && !destination.hasRun
  }

  /** Kills a QEMU as an agent advises, which may not do so itself or does not know what its QEMU did unheard. */
  #endSilent(): void {
    const { destination, hosts, source } = this.#world
    const { runner } = hosts.destination
    if (!destination.isAlive || !destination.isStuck) return
    const isAsked = runner === undefined || (runner.state.at === 'ending' && runner.state.isTold)
    if (!isAsked || (source.isAlive && !source.keeps)) return
    this.#world.note('operator', 'kills a QEMU that does not answer')
    destination.kill()
  }

  #goOnByHand(): void {
    if (!this.isNeeded) return
    const { source } = this.#world
    this.#world.note('operator', 'lets the source go on')
    source.goOn()
  }
}
