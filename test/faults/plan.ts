/** What a round does: which guests move where, what strikes, when and for how long. Pure: it comes from the seed. */
import { randomIn, type Chance } from '../support/chance.ts'

/** Who is struck: the hosts of the round's first move, or the one that has no part in it. */
export const TARGETS = ['source', 'destination', 'other'] as const
export type Target = typeof TARGETS[number]

/** How often each fault strikes, beside the others, and for how long at most, ms. */
export const KINDS = {
  /** SIGKILL, and a start afterwards. */
  'kill-agent': { weight: 3, lengthMsMax: 2000 },
  /** SIGTERM, and a start afterwards. */
  'restart-agent': { weight: 2, lengthMsMax: 1000 },
  /** SIGSTOP, and SIGCONT afterwards. */
  'stop-agent': { weight: 3, lengthMsMax: 8000 },
  'kill-qemu': { weight: 2, lengthMsMax: 0 },
  'stop-qemu': { weight: 3, lengthMsMax: 6000 },
  /** A host reaches nobody. */
  'cut': { weight: 3, lengthMsMax: 15_000 },
  /** The same for so short a time that connections live on. */
  'delay': { weight: 2, lengthMsMax: 1500 },
  /** The link carries a hundredth. */
  'slow': { weight: 1, lengthMsMax: 4000 },
  /** Bytes of what a host sends arrive as others. */
  'corrupt': { weight: 3, lengthMsMax: 3000 },
  /** Bytes of a host's kept pages change. */
  'damage-store': { weight: 2, lengthMsMax: 0 },
  /** The disk of an agent's own files is full. */
  'fill-disk': { weight: 3, lengthMsMax: 5000 },
  /** An operator cancels the move. */
  'cancel': { weight: 2, lengthMsMax: 0 },
} as const satisfies Record<string, { weight: number; lengthMsMax: number }>
export type StrikeKind = keyof typeof KINDS

export interface Strike {
  kind: StrikeKind
  target: Target
  /** Moment, in shares of the time that a move takes: 0 its beginning, 1 its end. */
  at: number
  lengthMs: number
  /** A number in [0, 1) for what else the strike has to choose. */
  choice: number
}

export interface PlannedMove {
  /** Index of the guest. */
  guest: number
  /** Which of the other two hosts it goes to. */
  to: 0 | 1
  mode: 'precopy' | 'postcopy'
  /** It stands still on its way, so that its memory can be compared. */
  isStill: boolean
}

export interface PlannedRound {
  moves: PlannedMove[]
  strikes: Strike[]
}

const EARLIEST = -0.1
const LATEST = 1.3
const SECOND_MOVE = 0.25
const SECOND_STRIKE = 0.25
const STILL = 0.4
const POSTCOPY = 0.15

/** The next round of the seed; `only` leaves other faults out. */
export function planRound(chance: Chance, guestCount: number, only: readonly StrikeKind[] = kinds()): PlannedRound {
  const first = chance.below(guestCount)
  const moves = [planMove(chance, first)]
  if (guestCount > 1 && chance.happens(SECOND_MOVE)) moves.push(planMove(chance, (first + 1) % guestCount))
  const strikes = [planStrike(chance, only)]
  if (chance.happens(SECOND_STRIKE)) strikes.push(planStrike(chance, only))
  return { moves, strikes }
}

export function kinds(): StrikeKind[] {
  return Object.keys(KINDS) as StrikeKind[]
}

function planMove(chance: Chance, guest: number): PlannedMove {
  const isStill = chance.happens(STILL)
  const mode = !isStill && chance.happens(POSTCOPY) ? 'postcopy' : 'precopy'
  return { guest, to: chance.happens(0.5) ? 1 : 0, mode, isStill }
}

function planStrike(chance: Chance, only: readonly StrikeKind[]): Strike {
  const kind = randomIn(only.flatMap((each) => Array.from({ length: KINDS[each].weight }, () => each)), chance)
  const { lengthMsMax } = KINDS[kind]
  return {
    kind, target: randomIn(TARGETS, chance), at: chance.between(EARLIEST, LATEST),
    // As many short ones as long ones, whatever the longest is.
    lengthMs: Math.round(lengthMsMax * chance.fraction() ** 2), choice: chance.fraction(),
  }
}
