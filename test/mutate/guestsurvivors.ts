import type { ExplainedSurvivor } from './fault.ts'

/** Faults that may survive in what looks at guests, and in what all folders stand on. */
export const GUEST_SURVIVORS: readonly ExplainedSurvivor[] = [
  // guest
  {
    file: 'src/guest/description.ts', line: 'export const DESCRIPTION_BYTES_MAX = 48 * 1024',
    why: 'three quarters of what a message carries, for what else is in it: a little more or less fits as well',
  },
  {
    file: 'src/guest/qemuprocess.ts', after: ['isNested(pid) || hasThread(pid, thread)'],
    line: '.filter((pid) => pid !== here[0]?.pid && isNested(pid) && hasThread(pid, thread))',
    why: 'no other process of a PID namespace listens at the socket, which is looked at next',
  },
  // runtime
  {
    file: 'src/runtime/endpoint.ts', line: 'this.#pieces.length = 0',
    why: 'nobody takes the pieces once the reader has closed; it only lets go of memory',
  },
]
