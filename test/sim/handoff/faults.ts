/** The faults of a run: each strikes at a time or as soon as a certain point is reached; and some stories. */
import { STORIES } from './stories.ts'
import { kill, STRIKES, tear, type Strike } from './strikes.ts'
import type { World } from './world.ts'

/** Points of the narrow windows: states of both ends and of both QEMUs. */
const POINTS = [
  'source active', 'source device', 'source completed', 'source failed', 'source cancelling', 'source cancelled',
  'source postcopy-active', 'source stopped for post-copy', 'source past', 'source postcopy-paused',
  'source postcopy-recover', 'destination active', 'destination whole', 'destination loaded', 'destination completed',
  'destination postcopy-active', 'destination postcopy-paused', 'source preparing', 'source offering',
  'source listing', 'source starting', 'source moving', 'source handingOver', 'source stopping', 'source orphaned',
  'source leaving', 'source takingBack', 'source serving', 'source cut', 'destination checking', 'destination linking',
  'destination waiting', 'destination loading', 'destination finishing', 'destination breaking', 'destination loaded',
  'destination holding', 'destination releasing', 'destination ending', 'destination serving', 'destination cut',
  'destination telling', 'source over', 'source unconfirmed', 'destination over',
]
/** A handoff without faults takes less time. */
const SPAN_MS = 1500

const WEIGHT = STRIKES.reduce((sum, [weight]) => sum + weight, 0)

export class FaultPlan {
  readonly #world: World
  readonly #waiting: { point: string; skip: number; delayMs: number; strike: Strike }[] = []
  /** A manager ends the source QEMU as soon as it reports `completed`. */
  readonly #isManaged: boolean
  readonly endMs: number

  constructor(world: World) {
    this.#world = world
    const { chance } = world
    this.#isManaged = chance.happens(0.15)
    this.endMs = chance.happens(0.7) ? 4000 : 60_000
    world.destination.isLocked = chance.happens(0.05)
    const isTorn = world.plan.kind === 'move' && world.plan.mode === 'postcopy' && chance.happens(0.4)
    if (isTorn) this.#waiting.push({ point: 'source serving', skip: 0, delayMs: world.delay(30), strike: tear })
    const isStory = chance.happens(0.35)
    if (isStory) this.#tell(STORIES[chance.below(STORIES.length)]!)
    // Concentrated faults produce combinations that single ones do not.
    const focus = chance.happens(0.5) ? POINTS[chance.below(POINTS.length)] : undefined
    const count = isStory ? chance.below(2) : chance.happens(0.05) ? 0 : 1 + chance.below(5)
    for (let each = 0; each < count; each++) {
      // In an interrupted post-copy the recovery is to be struck: the second time that a point is reached.
      const isSecond = chance.happens(isTorn ? 0.7 : 0.2)
      this.#waiting.push({
        point: chance.happens(0.2) ? '' : focus ?? POINTS[chance.below(POINTS.length)]!,
        skip: isSecond ? 1 + (chance.happens(0.2) ? 1 : 0) : 0,
        delayMs: chance.happens(0.7) ? world.delay(15) : world.delay(3000), strike: this.#choose(),
      })
      const last = this.#waiting.at(-1)!
      if (last.point === '') last.delayMs = chance.between(0, SPAN_MS)
    }
  }

  #tell(story: typeof STORIES[number]): void {
    for (const { point, withinMs, strike } of story) {
      this.#waiting.push({ point, skip: 0, delayMs: this.#world.delay(withinMs), strike })
    }
  }

  #choose(): Strike {
    let rest = this.#world.chance.below(WEIGHT)
    for (const [weight, strike] of STRIKES) {
      rest -= weight
      if (rest < 0) return strike
    }
    return STRIKES[0]![1]
  }

  begin(): void {
    for (const { point, strike, delayMs } of this.#waiting) {
      if (point === '') this.#strike(strike, delayMs)
    }
  }

  reach(point: string): void {
    if (this.#isManaged && point === 'source completed') {
      this.#strike((world) => kill(world, 'source'), this.#world.delay(20))
    }
    for (const waiting of this.#waiting) {
      if (waiting.point !== point || waiting.skip-- !== 0) continue
      this.#strike(waiting.strike, waiting.delayMs)
    }
  }

  #strike(strike: Strike, delayMs: number): void {
    this.#world.clock.after(delayMs, () => {
      if (this.#world.isCalm) return
      this.#world.note('world', 'fault', strike.name === '' ? strike.toString() : strike.name)
      strike(this.#world)
    })
  }

  /** Restarts agents, heals the network, ends hangs, and unlocks disks. */
  end(): void {
    const { hosts, network, source, destination } = this.#world
    network.heal()
    source.wake()
    destination.wake()
    source.isLocked = false
    destination.isLocked = false
    hosts.source.comeBack()
    hosts.destination.comeBack()
  }
}
