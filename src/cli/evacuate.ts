import { Option, type Command } from 'commander'

import { askAgent, type EvacuateArguments } from '../daemon/control/index.ts'
import type { EvacuationNews, EvacuationResult, MigrateRequest, MigrationMode } from '../index.ts'
import { systemClock } from '../runtime/clock.ts'
import {
  countArgument, millisecondsArgument, namesArgument, onTimeoutOption, rateArgument, requireTimeout, secondsArgument,
  withAgentFlags, type AgentFlags,
} from './arguments.ts'
import { EvacuationLine, renderEvacuation } from './evacuatetext.ts'
import { EXIT, EXIT_HELP, failAnswer, stopWaiting, writeJson } from './exit.ts'
import { onStopSignal } from './stopsignal.ts'

interface EvacuateFlags extends AgentFlags {
  to?: string[]
  mode: MigrationMode
  parallel?: number
  /** Bytes a second. */
  maxBandwidth?: number
  maxDowntime?: number
  /** Milliseconds. */
  timeout?: number
  onTimeout?: MigrateRequest['onTimeout']
  dryRun?: true
}

export function addEvacuate(program: Command): void {
  withAgentFlags(program.command('evacuate'))
    .summary('hand every guest of this host to others')
    .description('Hands every guest of this host to other hosts, a few at once, each to the one of the hosts where a ' +
      'QEMU of the same -name waits that has most of its pages. A guest whose destination fails goes elsewhere. ' +
      'Ctrl-C begins no further guest; those that move do so to their end.')
    .option('--to <hosts>', 'the hosts that guests may go to, separated by commas; default: any', namesArgument)
    .addOption(new Option('--mode <mode>', 'when each guest switches over')
      .choices(['precopy', 'postcopy']).default('precopy'))
    .option('--parallel <n>', 'guests that move at once; default and most: `handoff.parallel`', countArgument)
    .option('--max-bandwidth <rate>', 'most bytes on the wire, shared by those that move, such as 1Gbit', rateArgument)
    .option('--max-downtime <ms>', 'longest pause of each at switchover, milliseconds', millisecondsArgument)
    .option('--timeout <s>', 'longest time of each in the queue, and then until it switches over, seconds',
      secondsArgument)
    .addOption(onTimeoutOption())
    .option('--dry-run', 'only say where each guest would go')
    .addHelpText('after', `
Examples:
  pagemesh evacuate --dry-run
  pagemesh evacuate --to host-b,host-c --max-bandwidth 2Gbit
  pagemesh evacuate --to host-b,host-c --timeout 300 --on-timeout postcopy

${EXIT_HELP} Failed: a guest has stayed.`)
    .action(async (flags: EvacuateFlags, command: Command) => {
      requireTimeout(command, flags)
      await evacuate(flags)
    })
}

async function evacuate(flags: EvacuateFlags): Promise<void> {
  const isDryRun = flags.dryRun === true
  const line = new EvacuationLine({ output: process.stderr, clock: systemClock }, { isDryRun })
  const stopping = new AbortController()
  const restore = onStopSignal((count) => {
    if (count > 1) {
      const about = flags.json === true ? {} : undefined
      stopWaiting((text) => line.say(text), '`pagemesh status` shows what still moves.', about)
    }
    line.say('No further guest begins. Waiting for those that move; `pagemesh cancel` ends one of them.')
    stopping.abort()
  })
  try {
    const result = await askAgent<EvacuationResult>({
      path: flags.control, request: { command: 'evacuate', arguments: requestOf(flags) }, cancel: stopping.signal,
      onProgress: (news) => line.show(news as EvacuationNews),
    })
    line.end()
    if (flags.json === true) writeJson(result)
    else process.stdout.write(`${renderEvacuation(result)}\n`)
    process.exitCode = result.status === 'completed' ? EXIT.done
      : result.status === 'cancelled' ? EXIT.cancelled : EXIT.failed
  } catch (error) {
    line.end()
    failAnswer(error, flags.json === true)
  } finally {
    restore()
  }
}

function requestOf(flags: EvacuateFlags): EvacuateArguments {
  const { to, mode, parallel, maxBandwidth, maxDowntime, timeout, onTimeout, dryRun } = flags
  return {
    mode,
    ...(to === undefined ? {} : { to }),
    ...(parallel === undefined ? {} : { parallel }),
    ...(maxBandwidth === undefined ? {} : { maxBandwidth }),
    ...(maxDowntime === undefined ? {} : { maxDowntimeMs: maxDowntime }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(onTimeout === undefined ? {} : { onTimeout }),
    ...(dryRun === undefined ? {} : { dryRun }),
  }
}
