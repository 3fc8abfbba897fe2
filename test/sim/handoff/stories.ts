/**
 * Combinations of faults for windows that chance alone hits once in a million runs. Each sets only when something
 * strikes, not what the conversation then does.
 */
import { clientCancels, kill, passageOf, type Strike } from './strikes.ts'
import { reasonOf } from './words.ts'

interface Part {
  /** The point of the strike; '' at the very beginning. */
  point: string
  /** The longest delay after it. */
  withinMs: number
  strike: Strike
}

const cancel: Strike = (world) => world.hosts.source.cancel(reasonOf('the operator cancels'))
const sourceDies: Strike = (world) => world.hosts.source.die(50 + world.delay(3000))
const destinationDies: Strike = (world) => world.hosts.destination.die(50 + world.delay(1000))
const killSource: Strike = (world) => kill(world, 'source')
const killDestination: Strike = (world) => kill(world, 'destination')
const lock: Strike = (world) => { world.destination.isLocked = true }
const unlock: Strike = (world) => { world.destination.isLocked = false }
const loseMonitor: Strike = (world) => world.hosts.source.session.lose(500 + world.delay(2000))
const breakChannel: Strike = (world) => passageOf(world)?.fail(world.chance.happens(0.5) ? 'source' : 'destination')
const hangDestination: Strike = (world) => world.destination.hang(60_000)
const cutLink: Strike = (world) => world.network.cut({ link: true }, world.delay(200))
const cutAll: Strike = (world) => world.network.cut({ link: true, passage: true, mesh: true }, world.delay(2000))

export const STORIES: readonly (readonly Part[])[] = [
  // The operator cancels while QEMU waits, or has just been told to continue.
  [{ point: 'source pre-switchover', withinMs: 5, strike: cancel }],
  [{ point: 'source device', withinMs: 30, strike: cancel }],
  [{ point: 'source pre-switchover', withinMs: 5, strike: sourceDies }],
  // The guest continues at the source for a moment, unheard, before QEMU dies.
  [
    { point: 'destination whole', withinMs: 10, strike: clientCancels },
    { point: 'source cancelling', withinMs: 30, strike: killSource },
  ],
  [
    { point: 'destination whole', withinMs: 10, strike: clientCancels },
    { point: 'source cancelling', withinMs: 5, strike: loseMonitor },
    { point: 'source cancelled', withinMs: 300, strike: killSource },
  ],
  [
    { point: 'destination whole', withinMs: 1, strike: loseMonitor },
    { point: 'destination whole', withinMs: 5, strike: clientCancels },
    { point: 'source cancelled', withinMs: 300, strike: killSource },
  ],
  // The stream breaks when everything has arrived.
  [{ point: 'destination whole', withinMs: 5, strike: cutAll }],
  [
    { point: 'destination whole', withinMs: 5, strike: cutAll },
    { point: 'source failed', withinMs: 2000, strike: sourceDies },
  ],
  // One of its channels breaks, and its QEMU waits for that for ever, whatever else fails.
  [{ point: 'destination active', withinMs: 30, strike: breakChannel }],
  [
    { point: 'destination active', withinMs: 30, strike: breakChannel },
    { point: 'destination active', withinMs: 60, strike: cutLink },
  ],
  [
    { point: 'destination active', withinMs: 30, strike: breakChannel },
    { point: 'destination breaking', withinMs: 3000, strike: destinationDies },
  ],
  // Its QEMU hangs with the whole guest.
  [
    { point: 'destination whole', withinMs: 5, strike: hangDestination },
    { point: 'destination whole', withinMs: 20, strike: cutLink },
  ],
  [
    { point: 'destination whole', withinMs: 20, strike: cutAll },
    { point: 'destination whole', withinMs: 20, strike: hangDestination },
  ],
  // The copy cannot run, and agents die while it is given back.
  [{ point: '', withinMs: 0, strike: lock }, { point: 'source takingBack', withinMs: 60, strike: sourceDies }],
  [
    { point: '', withinMs: 0, strike: lock }, { point: 'source takingBack', withinMs: 60, strike: sourceDies },
    { point: 'source takingBack', withinMs: 60, strike: unlock },
    { point: 'source takingBack', withinMs: 60, strike: destinationDies },
  ],
  [
    { point: '', withinMs: 0, strike: lock }, { point: 'destination holding', withinMs: 60, strike: destinationDies },
    { point: 'destination holding', withinMs: 60, strike: unlock },
  ],
  [
    { point: '', withinMs: 0, strike: lock }, { point: 'destination holding', withinMs: 60, strike: cutLink },
    { point: 'destination holding', withinMs: 3000, strike: unlock },
  ],
  // The copy ran for a moment, and no record was written.
  [
    { point: 'destination releasing', withinMs: 20, strike: destinationDies },
    { point: 'destination releasing', withinMs: 100, strike: killDestination },
  ],
  [
    { point: 'destination telling', withinMs: 40, strike: destinationDies },
    { point: 'source over', withinMs: 3000, strike: sourceDies },
  ],
  [
    { point: 'destination releasing', withinMs: 40, strike: killDestination },
    { point: 'source over', withinMs: 100, strike: sourceDies },
  ],
  // Post-copy, where QEMU cannot go back any more and no agent knows yet.
  [{ point: 'source past', withinMs: 2, strike: killSource }],
  [{ point: 'source past', withinMs: 2, strike: sourceDies }],
  [{ point: 'source past', withinMs: 10, strike: cutLink }],
  [{ point: 'source past', withinMs: 10, strike: cutAll }],
  [
    { point: 'source stopped for post-copy', withinMs: 40, strike: cancel },
    { point: 'source postcopy-active', withinMs: 20, strike: cancel },
  ],
  [{ point: 'source active', withinMs: 40, strike: cancel }, { point: 'source moving', withinMs: 60, strike: cancel }],
]
