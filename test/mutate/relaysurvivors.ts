import type { ExplainedSurvivor } from './fault.ts'

const NOBODYS = 'the connection was given to an endpoint: the remaining socket has nothing to close'

/** Faults that may survive in src/relay. */
export const RELAY_SURVIVORS: readonly ExplainedSurvivor[] = [
  { file: 'src/relay/dial.ts', line: 'signal.removeEventListener(\'abort\', abort)', why: NOBODYS },
  {
    file: 'src/relay/incomingrelay.ts', line: 'this.#patience?.cancel()',
    why: 'it ends something that has ended, or later than the source\'s host takes to tell the outcome',
  },
  {
    file: 'src/relay/incomingrelays.ts', line: 'phase: \'offer\', fault: \'peer\', message: \'A relay was begun',
    after: ['phase: \'changed\''], why: 'the phase of an error that is only logged is not read',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'const NOTHING_KNOWN: Prefixes = { count: 0,',
    after: ['new Uint32Array(1)'], why: 'there are as many prefixes as it counts',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'endpoint.destroy()',
    why: 'starting a passage cannot fail, except by a programmer\'s error',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: '\'a relay is still being closed\', this.#link?.close()',
    why: 'the follower of the relay sees its end, and closes the link as well',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'if (signal.aborted) abort()', after: ['if (false) abort()'],
    why: 'the time limit ends it already',
  },
  {
    file: 'src/relay/tunnel.ts', line: 'createServer({ allowHalfOpen: true, pauseOnConnect: true }',
    after: ['allowHalfOpen: false'], why: 'the endpoint that takes the connection over keeps it open',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'qemu.destroy()', why: 'the agent ends, and its connections with it',
  },
]
