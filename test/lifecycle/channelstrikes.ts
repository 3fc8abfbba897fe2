/** Strikes against one of a move's connections, or against its thread. */
import { seededRandom, shuffled } from '../support/random.ts'
import type { Observation } from '../support/verdict.ts'
import { untilSent } from './aim.ts'
import { channelsOf, lanesOf, shut, stall, type Connection } from './connections.ts'
import { NO_STRIKE, type Ends, type ReadyStriker, type Striker } from './strikers.ts'
import { ThreadKill } from './threadkill.ts'

/** Short: less than the silence after which a lane counts as lost, plus TCP's retransmission timeout. Long: more. */
const STALL_MS = { short: 2000, long: 8000 } as const
/** Slow enough to tell moments of a move apart. */
const SLOWLY = ['--max-bandwidth', '800Mbit']

/** A possible strike; `random` is in [0, 1). */
export interface ChannelStrike {
  readonly title: string
  /** How a move in pre-copy may end. */
  readonly mayEnd: Observation['mayEnd']
  /** Before the move: slow preparations. */
  prepare(ends: Ends, random: number): Promise<ReadyChannelStrike>
}

export interface ReadyChannelStrike {
  /** Resolves to false if there was nothing left to strike. */
  strike(): Promise<boolean>
  stop?(): void
}

const BREAKS = ['failed', 'completed'] as const

function strikeOf(
  title: string, mayEnd: Observation['mayEnd'], find: (ends: Ends) => Connection[],
  act: (connection: Connection) => Promise<boolean>,
): ChannelStrike {
  return {
    title, mayEnd,
    prepare: async (ends, random) => ({
      async strike() {
        const found = find(ends)
        const connection = found[Math.floor(random * found.length)]
        return connection !== undefined && await act(connection)
      },
    }),
  }
}

function agentOf(side: 'source' | 'destination'): (ends: Ends) => ReturnType<Ends['hosts']['cluster']['agent']> {
  return (ends) => ends.hosts.cluster.agent(ends[side].host)
}

const SIDES = ['source', 'destination'] as const

export const CHANNEL_STRIKES: readonly ChannelStrike[] = [
  ...SIDES.map((side) =>
    strikeOf(`a lane is cut at the ${side}`, BREAKS, (ends) => lanesOf(agentOf(side)(ends).pid), shut)),
  ...SIDES.map((side) =>
    strikeOf(`a lane stalls at the ${side} for a moment`, ['completed'], (ends) => lanesOf(agentOf(side)(ends).pid),
      (lane) => stall(lane, STALL_MS.short))),
  strikeOf('a lane stalls for good', BREAKS, (ends) => lanesOf(agentOf('destination')(ends).pid),
    (lane) => stall(lane, STALL_MS.long)),
  strikeOf('a connection of the source QEMU is closed', BREAKS,
    (ends) => channelsOf(agentOf('source')(ends).pid), shut),
  strikeOf('a connection of the destination QEMU is closed', BREAKS,
    ({ destination }) => channelsOf(destination.guest.pid), shut),
  {
    title: 'its operator cancels', mayEnd: ['cancelled', 'completed'],
    prepare: async ({ hosts, guest, source }) => {
      const command = await hosts.hold(source.host, 'cancel', guest, '--json')
      await command.ready
      let isReleased = false
      // The command must be released even if the move is over, or it would wait for ever.
      const release = (): void => {
        if (!isReleased) command.release()
        isReleased = true
      }
      return {
        async strike() {
          release()
          await command.outcome
          return true
        },
        stop: release,
      }
    },
  },
  ...SIDES.map((side): ChannelStrike => ({
    title: `a thread of passages ends at the ${side}`, mayEnd: BREAKS,
    prepare: async (ends) => {
      const kill = await ThreadKill.ready(agentOf(side)(ends))
      return { strike: () => kill.strike(), stop: () => kill.stop() }
    },
  })),
]

/** Strikes in random order, over and over. */
export function* strikesInTurn(seed: number): Generator<{ strike: ChannelStrike; random: number }, never> {
  const random = seededRandom(seed)
  for (;;) for (const strike of shuffled(CHANNEL_STRIKES, random)) yield { strike, random: random() }
}

/** Moves a guest over several channels; one of them is struck when some percent of its memory was sent. */
export class ChannelStriker implements Striker {
  readonly name: string
  readonly window = [0, 98] as const
  readonly words = SLOWLY
  /**
   * Two seconds until the source's host is asked again; then a hung destination QEMU has three seconds to end by
   * itself, and three for each of two questions.
   */
  readonly restMsMax = 20_000
  readonly #multifd: number
  readonly #strikes: Iterator<{ strike: ChannelStrike; random: number }, never>

  constructor(init: { multifd: number; strikes: Iterator<{ strike: ChannelStrike; random: number }, never> }) {
    this.#multifd = init.multifd
    this.#strikes = init.strikes
    this.name = `multifd ${init.multifd}`
  }

  async prepare(ends: Ends, percent: number | undefined): Promise<ReadyStriker> {
    const { hosts: { trace }, source } = ends
    await source.client.execute('migrate-set-capabilities', { capabilities: [{ capability: 'multifd', state: true }] })
    await source.client.execute('migrate-set-parameters', { 'multifd-channels': this.#multifd })
    if (percent === undefined) return NO_STRIKE
    const { strike, random } = this.#strikes.next().value
    const ready = await strike.prepare(ends, random)
    return {
      strike: async ({ over }) => {
        try {
          if (!await untilSent(source, percent, 'active', over)) return undefined
          trace.add('fault', strike.title)
          const atMs = Date.now()
          if (!await ready.strike()) return undefined
          return { atMs, mayEnd: strike.mayEnd, mayBeLost: false }
        } finally {
          ready.stop?.()
        }
      },
    }
  }
}
