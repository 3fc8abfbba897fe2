/**
 * The measurements as data: in which way a guest moves, over which link, to which destination, which guest, how many at
 * once, and which part of Pagemesh is left out. Pure.
 *
 *   host a: the guests that move    host b: `similar`, two others of their system    host c: no guest
 *                                                                      `placement`: keeps what b and a have in common
 *                                                                      `nothing`: keeps nothing, asks no other host
 *
 * The whole grid takes too long. It is pruned:
 * - QEMU sends the same bytes to any destination: its ways are measured with `similar` only, which counts for all
 *   three;
 * - 100 Mbit/s is measured in the first round only: there the link decides, and figures vary least;
 * - parts are left out, and five guests leave together, at 1 Gbit/s with idle guests only.
 * All rounds have the same order. When the time is up, the remaining measurements are omitted; the report tells how
 * many each figure is a median of.
 */
export type WayName = (typeof QEMU_WAYS)[number] | (typeof PAGEMESH_WAYS)[number]
export type LinkName = '100 Mbit/s' | '1 Gbit/s' | 'unshaped'
export type Destination = 'similar' | 'placement' | 'nothing'
export type GuestKind = 'idle' | 'busy'
/** The part of Pagemesh that is left out; `none`: none. The destination `nothing` is without store and peers. */
export type LeftOut = 'none' | 'references' | 'store' | 'peers' | 'compression'

export interface Cell {
  link: LinkName
  destination: Destination
  guest: GuestKind
  /** Guests that leave together. */
  count: number
  leftOut: LeftOut
}

/** One measurement. */
export interface Step {
  round: number
  cell: Cell
  way: WayName
}

export interface Plan {
  steps: readonly Step[]
  /** From the command's start; no measurement begins after this time. */
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
/** More rounds than any known machine has time for; measuring stops when the time is up. */
const ROUNDS_MAX = 5

const ALL: Omit<Cell, 'link' | 'destination' | 'guest'> = { count: 1, leftOut: 'none' }

export function planOf(isQuick: boolean): Plan {
  return isQuick
    ? { steps: quickSteps(), secondsMax: QUICK_SECONDS_MAX } : { steps: fullSteps(), secondsMax: FULL_SECONDS_MAX }
}

/** QEMU is slow over a slow link: only its simplest and its best way. */
const SLOW_WAYS = ['qemu-precopy', 'qemu-multifd-zstd', 'pagemesh-precopy', 'pagemesh-postcopy'] as const

function quickSteps(): Step[] {
  const round = 1
  const cell = { link: '1 Gbit/s', guest: 'idle', ...ALL } as const
  return [
    ...allWays(round, { link: '1 Gbit/s', guest: 'idle' }),
    ...allWays(round, { link: '1 Gbit/s', guest: 'busy' }).filter(isNotPlainMultifd),
    ...steps(round, { ...cell, link: '100 Mbit/s', destination: 'similar' }, SLOW_WAYS),
    // Last, because it restarts the agents; where time is short, the other cells matter more.
    ...steps(round, { ...cell, destination: 'nothing' }, PAGEMESH_WAYS),
    ...steps(round, { ...cell, destination: 'placement', leftOut: 'store' }, ['pagemesh-precopy']),
  ]
}

/** Ways that show nothing new with a busy guest. */
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

/** All ways to `similar`; to `placement` Pagemesh's only. */
function allWays(round: number, { link, guest }: Pick<Cell, 'link' | 'guest'>): Step[] {
  return [
    ...steps(round, { link, guest, destination: 'similar', ...ALL }, [...QEMU_WAYS, ...PAGEMESH_WAYS]),
    ...steps(round, { link, guest, destination: 'placement', ...ALL }, PAGEMESH_WAYS),
  ]
}

/** Measures each part, in an order that needs few restarts of agents. */
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

/** Only in the first round: the guests that leave together must be booted first, and are not moved singly. */
function togetherSteps(round: number): Step[] {
  if (round !== 1) return []
  const cell: Cell = { link: '1 Gbit/s', guest: 'idle', destination: 'similar', count: TOGETHER, leftOut: 'none' }
  return steps(round, cell, [...QEMU_WAYS, ...PAGEMESH_WAYS])
}

function steps(round: number, cell: Cell, ways: readonly WayName[]): Step[] {
  return ways.map((way) => ({ round, cell, way }))
}
