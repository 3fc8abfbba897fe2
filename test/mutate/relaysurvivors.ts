import type { ExplainedSurvivor } from './fault.ts'

const NOBODYS = 'the connection was handed to an endpoint: the socket that is left has nothing to close'

/** Faults that may survive in src/relay. */
export const RELAY_SURVIVORS: readonly ExplainedSurvivor[] = [
  { file: 'src/relay/dial.ts', line: 'signal.removeEventListener(\'abort\', abort)', why: NOBODYS },
  {
    file: 'src/relay/incomingrelay.ts', line: 'this.#patience?.cancel()',
    why: 'it ends what has ended, or later than the source\'s host takes to say what became of the migration',
  },
  {
    file: 'src/relay/incomingrelays.ts', line: 'phase: \'offer\', fault: \'peer\', message: \'A relay was begun',
    after: ['phase: \'changed\''], why: 'nobody reads the phase of what is only logged',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'const NOTHING_KNOWN: Prefixes = { count: 0,',
    after: ['new Uint32Array(1)'], why: 'there are as many prefixes as it counts',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'endpoint.destroy()',
    why: 'a passage is begun without anything that may fail, but for a programmer\'s error',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: '\'a relay is still being closed\', this.#link?.close()',
    why: 'whoever follows the relay hears that it is over, and closes the link as well',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'if (signal.aborted) abort()', after: ['if (false) abort()'],
    why: 'what limits the time ends what is late already',
  },
  {
    file: 'src/relay/tunnel.ts', line: 'createServer({ allowHalfOpen: true, pauseOnConnect: true }',
    after: ['allowHalfOpen: false'], why: 'the endpoint that takes the connection over keeps it open',
  },
  {
    file: 'src/relay/outgoingrelay.ts', line: 'qemu.destroy()', why: 'the agent ends, and its connections with it',
  },
]
