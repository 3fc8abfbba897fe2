import type { Census, GuestCensus } from '../census/index.ts'
import type { Guest } from '../guest/index.ts'
import type { Keeper, StablePages } from '../placement/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { waitAtMost } from '../runtime/wait.ts'

/** Longest time that a completed handoff waits while the guest's pages are stored: afterwards QEMU may be ended. */
const KEEPING_MS_MAX = 30_000

/**
 * Stores the pages of a guest that was handed away, because guests come back, for instance after maintenance. The
 * source QEMU's memory stays as it was at switchover while its process lives.
 */
export async function keepDeparted(
  { census, keeper, clock }: { census: Census; keeper: Keeper; clock: Clock }, guest: Guest,
): Promise<void> {
  const known = census.of(guest.name)
  if (known === undefined) return
  await waitAtMost(clock, keeper.keepDeparted(guest.memory, stablePagesOf(known)), KEEPING_MS_MAX)
}

/** The pages of the last scan; all count as stable: a page that is still there has not changed since. */
function stablePagesOf(known: GuestCensus): StablePages {
  const { table } = known
  return {
    hasher: known.scope.hasher,
    count: table.size,
    forEachNumber(visit) {
      for (let index = 0; index < table.size; index++) visit(known.numberAt(index))
    },
    has: (high, low) => table.indexOf(high, low) >= 0,
  }
}
