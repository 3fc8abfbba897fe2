import type { ExplainedSurvivor } from './fault.ts'

/** Faults that may survive in what moves a guest. */
export const HANDOFF_SURVIVORS: readonly ExplainedSurvivor[] = [
  // passage
  {
    file: 'src/passage/framelane.ts', line: 'if (!hasRoom) await this.#lane.drained()', after: ['if (true)'],
    why: 'a lane that has room says so at once',
  },
  {
    file: 'src/passage/incoming.ts', line: 'if (this.#isPaused || this.#returningBytes < RETURNING_BYTES_MAX) return',
    after: ['if (false) return'],
    why: 'QEMU is read again once the lane has taken what it wrote: what travels is the same, only sooner or later',
  },
  {
    file: 'src/passage/outgoing.ts', line: 'const UNTAKEN_BYTES_MAX = 64 * 2 ** 20',
    why: 'a bound far above what QEMU ever says; what its socket has taken does not count, and is not known to a byte',
  },
  {
    file: 'src/passage/outgoing.ts', line: 'if (batch.literals.length > 0) this.#suspectsNoise',
    after: ['batch.literals.length > 1)'], why: 'literals are whole pages',
  },
  {
    file: 'src/passage/warmup.ts', line: 'await nextTurn()',
    why: 'whether others get their turn meanwhile, of no weight',
  },
]
