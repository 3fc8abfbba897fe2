/**
 * What is compared, as data: which way a guest moves, over which link, to which destination, which guest, how many at
 * once, and what of Pagemesh is left out. Pure.
 *
 *   host a: the guests that move    host b: `similar`, two others of their system    host c: no guest
 *                                                                      `placement`: what b and a have in common is kept
 *                                                                      `nothing`: nothing kept, nothing had from others
 *
 * The whole grid is far more than fits. It is pruned so:
 * - QEMU sends the same wherever a guest goes: its ways are measured with `similar` alone, and stand for all three;
 * - 100 Mbit/s is measured in the first round alone: there the link decides, and figures differ least;
 * - parts are left out, and five guests leave together, at 1 Gbit/s with guests that have nothing to do.
 * Rounds go through all of it in the same order; when the time is up, what is left of them is not measured, and the
 * report says how often each figure was.
 */
export type WayName = (typeof QEMU_WAYS)[number] | (typeof PAGEMESH_WAYS)[number]
export type LinkName = '100 Mbit/s' | '1 Gbit/s' | 'unshaped'
export type Destination = 'similar' | 'placement' | 'nothing'
export type GuestKind = 'idle' | 'busy'
/** What of Pagemesh is left out; `none`: all is there. `nothing` as a destination is without store and peers. */
export type LeftOut = 'none' | 'references' | 'store' | 'peers' | 'compression'

export interface Cell {
  link: LinkName
  destination: Destination
  guest: GuestKind
  /** Guests that leave together. */
  count: number
  leftOut: LeftOut
}

/** One measurement to be made. */
export interface Step {
  round: number
  cell: Cell
  way: WayName
}

export interface Plan {
  steps: readonly Step[]
  /** From the command's start until no further measurement begins. */
  secondsMax: number
}

export const QEMU_WAYS = [
  'qemu-precopy', 'qemu-xbzrle', 'qemu-multifd', 'qemu-multifd-zstd', 'qemu-postcopy',
] as const
export const PAGEMESH_WAYS = ['pagemesh-precopy', 'pagemesh-multifd', 'pagemesh-postcopy'] as const

/** For people. */
export const WAY_TITLES: Readonly<Record<WayName, string>> = {
  'qemu-precopy': 'QEMU pre-copy',
  'qemu-xbzrle': 'QEMU xbzrle',
  'qemu-multifd': 'QEMU multifd',
  'qemu-multifd-zstd': 'QEMU multifd+zstd',
  'qemu-postcopy': 'QEMU post-copy',
  'pagemesh-precopy': 'Pagemesh pre-copy',
  'pagemesh-multifd': 'Pagemesh multifd',
  'pagemesh-postcopy': 'Pagemesh post-copy',
}

export const LINK_BYTES_PER_SECOND: Readonly<Record<LinkName, number | undefined>> = {
  '100 Mbit/s': 12.5e6, '1 Gbit/s': 125e6, 'unshaped': undefined,
}

const QUICK_SECONDS_MAX = 430
const FULL_SECONDS_MAX = 2040
const TOGETHER = 5
/** More than fit on any machine that we know; each is measured as far as the time reaches. */
const ROUNDS_MAX = 5

const ALL: Omit<Cell, 'link' | 'destination' | 'guest'> = { count: 1, leftOut: 'none' }

export function planOf(isQuick: boolean): Plan {
  return isQuick
    ? { steps: quickSteps(), secondsMax: QUICK_SECONDS_MAX } : { steps: fullSteps(), secondsMax: FULL_SECONDS_MAX }
}

/** A move by QEMU takes its time over a slow link: its simplest way and its best. */
const SLOW_WAYS = ['qemu-precopy', 'qemu-multifd-zstd', 'pagemesh-precopy', 'pagemesh-postcopy'] as const

function quickSteps(): Step[] {
  const round = 1
  const cell = { link: '1 Gbit/s', guest: 'idle', ...ALL } as const
  return [
    ...allWays(round, { link: '1 Gbit/s', guest: 'idle' }),
    ...allWays(round, { link: '1 Gbit/s', guest: 'busy' }).filter(isNotPlainMultifd),
    ...steps(round, { ...cell, link: '100 Mbit/s', destination: 'similar' }, SLOW_WAYS),
    // Last: agents start anew for it, and where time is short the rest is worth more.
    ...steps(round, { ...cell, destination: 'nothing' }, PAGEMESH_WAYS),
    ...steps(round, { ...cell, destination: 'placement', leftOut: 'store' }, ['pagemesh-precopy']),
  ]
}

/** What a busy guest shows nothing new of. */
function isNotPlainMultifd({ way }: Step): boolean {
  return way !== 'qemu-multifd' && way !== 'pagemesh-multifd'
}

function fullSteps(): Step[] {
  const rounds = Array.from({ length: ROUNDS_MAX }, (_, index) => index + 1)
  return rounds.flatMap((round) => [...gridSteps(round), ...leftOutSteps(round), ...togetherSteps(round)])
}

function gridSteps(round: number): Step[] {
  const links: LinkName[] = round === 1 ? ['1 Gbit/s', 'unshaped', '100 Mbit/s'] : ['1 Gbit/s', 'unshaped']
  return links.flatMap((link) => (['idle', 'busy'] as const).flatMap((guest) => allWays(round, { link, guest })))
}

/** All ways to `similar`, Pagemesh's own to `placement`. */
function allWays(round: number, { link, guest }: Pick<Cell, 'link' | 'guest'>): Step[] {
  return [
    ...steps(round, { link, guest, destination: 'similar', ...ALL }, [...QEMU_WAYS, ...PAGEMESH_WAYS]),
    ...steps(round, { link, guest, destination: 'placement', ...ALL }, PAGEMESH_WAYS),
  ]
}

/** What each part is worth; in an order that lets few agents start anew. */
function leftOutSteps(round: number): Step[] {
  const cell = { link: '1 Gbit/s', guest: 'idle', destination: 'placement', count: 1 } as const
  const nothing = (['1 Gbit/s', 'unshaped', '100 Mbit/s'] as const).filter((link) => round === 1 || link === '1 Gbit/s')
  return [
    ...(['compression', 'references', 'peers', 'store'] as const)
      .flatMap((leftOut) => steps(round, { ...cell, leftOut }, ['pagemesh-precopy'])),
    ...nothing.flatMap((link) => (['idle', 'busy'] as const)
      .flatMap((guest) => steps(round, { link, guest, destination: 'nothing', ...ALL }, PAGEMESH_WAYS))),
  ]
}

/** Once: the guests that leave together must first be booted, and are not moved singly. */
function togetherSteps(round: number): Step[] {
  if (round !== 1) return []
  const cell: Cell = { link: '1 Gbit/s', guest: 'idle', destination: 'similar', count: TOGETHER, leftOut: 'none' }
  return steps(round, cell, [...QEMU_WAYS, ...PAGEMESH_WAYS])
}

function steps(round: number, cell: Cell, ways: readonly WayName[]): Step[] {
  return ways.map((way) => ({ round, cell, way }))
}
