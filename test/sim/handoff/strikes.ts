/** The single faults of a model world. */
import type { ModelPassage } from './passage.ts'
import { reasonOf } from './words.ts'
import type { World } from './world.ts'

export type Strike = (world: World) => void

const someMs = (world: World, mostMs: number): number => world.delay(mostMs)

/** Each with its weight. */
export const STRIKES: readonly [weight: number, strike: Strike][] = [
  [3, (world) => world.hosts.source.cancel(reasonOf('the operator cancels'))],
  [3, (world) => world.hosts.source.die(50 + someMs(world, 20_000))],
  [3, (world) => world.hosts.destination.die(50 + someMs(world, 20_000))],
  [2, (world) => kill(world, 'source')],
  [2, (world) => kill(world, 'destination')],
  [2, (world) => world.network.cut({ link: true, passage: true, mesh: true }, someMs(world, 40_000))],
  [2, (world) => world.network.cut({ link: true }, someMs(world, 10_000))],
  [2, (world) => world.network.cut({ passage: true }, someMs(world, 10_000))],
  [1, (world) => world.network.cut({ mesh: true }, someMs(world, 20_000))],
  [1, (world) => world.network.link?.cut(world.chance.happens(0.5) ? 'source' : 'destination')],
  [2, (world) => passageOf(world)?.fail(world.chance.happens(0.5) ? 'source' : 'destination')],
  [1, (world) => passageOf(world)?.cut()],
  [2, (world) => world.hosts.source.session.lose(someMs(world, 3000))],
  [2, (world) => world.hosts.destination.session.lose(someMs(world, 3000))],
  [1, (world) => world.source.hang(someMs(world, 60_000))],
  [1, (world) => world.destination.hang(someMs(world, 60_000))],
  [2, (world) => { world.destination.isLocked = true }],
  [1, (world) => { world.source.isLocked = true }],
  [1, stopGuest],
  [1, continueGuest],
  [1, powerOff],
  [1, panic],
  [1, clientCancels],
  [1, failItself],
  [1, settle],
  [1, recover],
  [1, stopAgent],
]
/** Any of the channels. */
export function passageOf({ source, chance }: World): ModelPassage | undefined {
  const { passages } = source
  return passages[chance.below(Math.max(1, passages.length))]
}

/** Interrupts a post-copy, so that a recovery follows. */
export function tear(world: World): void {
  world.network.cut({ link: true, passage: true }, someMs(world, 2000))
}

export function kill(world: World, side: 'source' | 'destination'): void {
  if (!world[side].isAlive) return
  world[side].die('it was killed')
  world.truth.struck()
}

function stopGuest({ source }: World): void {
  if (!source.isAlive || source.runState !== 'running') return
  source.runState = source.intended = 'paused'
}

function continueGuest({ source }: World): void {
  if (!source.isAlive || source.runState !== 'paused') return
  source.runState = source.intended = 'running'
}

function powerOff(world: World): void {
  const { source } = world
  if (!source.isAlive || source.runState !== 'running') return
  if (world.chance.happens(0.5)) return kill(world, 'source')
  source.runState = source.intended = 'shutdown'
}

function panic({ source }: World): void {
  if (!source.isAlive || source.runState !== 'running') return
  source.runState = source.intended = 'guest-panicked'
}

/** Only while QEMU can go back, and survives it: otherwise the client itself would double or lose the guest. */
export function clientCancels({ source }: World): void {
  source.command(() => {
    if (!source.isPast && !(source.isOld && source.isSwitching)) source.cancel()
  })
}

function failItself({ source }: World): void {
  source.failItself()
}

function settle(world: World): void {
  world.operator.settle()
}

function recover(world: World): void {
  world.operator.recover()
}

/** Like SIGTERM. */
function stopAgent(world: World): void {
  const host = world.hosts.destination
  host.runner?.dispatch({ kind: 'stop', reason: reasonOf('the agent stops') })
  world.clock.after(world.delay(100), () => host.die(50 + someMs(world, 5000)))
}
