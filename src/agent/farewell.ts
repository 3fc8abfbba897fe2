import type { Census, GuestCensus } from '../census/index.ts'
import type { Guest } from '../guest/index.ts'
import type { Keeper, StablePages } from '../placement/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { waitAtMost } from '../runtime/wait.ts'

/** How long a finished handoff waits for the guest's pages to be kept: when it is over, its process may be ended. */
const KEEPING_MS_MAX = 30_000

/**
 * Keeps the pages of a guest that was handed away: guests come back, such as after maintenance. What the guest's
 * process holds is as it was at switchover, for as long as the process is there.
 */
export async function keepDeparted(
  { census, keeper, clock }: { census: Census; keeper: Keeper; clock: Clock }, guest: Guest,
): Promise<void> {
  const known = census.of(guest.name)
  if (known === undefined) return
  await waitAtMost(clock, keeper.keepDeparted(guest.memory, stablePagesOf(known)), KEEPING_MS_MAX)
}

/** What the last scan found: a page that is still there has stayed since, and may be found so again. */
function stablePagesOf(known: GuestCensus): StablePages {
  const { table } = known
  return {
    count: table.size,
    forEachNumber(visit) {
      for (let index = 0; index < table.size; index++) visit(known.numberAt(index))
    },
    has: (high, low) => table.indexOf(high, low) >= 0,
  }
}
