import { Option, type Command } from 'commander'

import { askAgent, type MigrateArguments } from '../daemon/control/index.ts'
import type { HandoffEstimate, HandoffProgress, HandoffResult, MigrationMode } from '../index.ts'
import { systemClock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import {
  millisecondsArgument, nameArgument, rateArgument, secondsArgument, withAgentFlags, type AgentFlags,
} from './arguments.ts'
import { EXIT, EXIT_HELP, writeJson } from './exit.ts'
import { renderEstimate, renderResult } from './handofftext.ts'
import { ProgressLine } from './progressline.ts'

interface MigrateFlags extends AgentFlags {
  to: string
  mode: MigrationMode
  /** Bytes a second. */
  maxBandwidth?: number
  maxDowntime?: number
  /** Milliseconds. */
  timeout?: number
  dryRun?: true
}

/** What is known of a handoff whose result never came. */
type LostHandoff = Pick<HandoffResult, 'guest' | 'to' | 'mode' | 'status'> & Partial<HandoffResult>

export function addMigrate(program: Command): void {
  withAgentFlags(program.command('migrate'))
    .summary('hand a guest to another host')
    .description('Hands GUEST to another host of the mesh, where a QEMU of the same -name waits with\n' +
      '-incoming defer. Ctrl-C cancels; the guest then goes on here.')
    .argument('<guest>', 'name of the guest', nameArgument)
    .requiredOption('--to <host>', 'name of the destination host', nameArgument)
    .addOption(new Option('--mode <mode>', 'when the guest switches over')
      .choices(['precopy', 'postcopy']).default('precopy'))
    .option('--max-bandwidth <rate>', 'most bytes on the wire, such as 500Mbit', rateArgument)
    .option('--max-downtime <ms>', 'longest pause at switchover, milliseconds', millisecondsArgument)
    .option('--timeout <s>', 'give up if not switched over by then, seconds', secondsArgument)
    .option('--dry-run', 'only say how many pages the destination has')
    .addHelpText('after', `
Examples:
  pagemesh migrate web-1 --to host-b
  pagemesh migrate web-1 --to host-b --mode postcopy --max-bandwidth 500Mbit
  pagemesh migrate web-1 --to host-b --dry-run --json

${EXIT_HELP}`)
    .action(migrate)
}

async function migrate(guest: string, flags: MigrateFlags): Promise<void> {
  const progress = new ProgressLine({ output: process.stderr, clock: systemClock })
  let last: HandoffProgress | undefined
  const { cancel, restore } = cancelOnSignal(progress)
  try {
    const outcome = await askAgent<HandoffResult | HandoffEstimate>({
      path: flags.control,
      request: { command: 'migrate', arguments: requestOf(guest, flags) },
      cancel,
      onProgress: (news) => {
        last = news
        progress.show(news)
      },
    })
    progress.end()
    if ('dryRun' in outcome) show(outcome, renderEstimate(outcome), flags)
    else report(outcome, flags)
  } catch (error) {
    progress.end()
    const lost = lostHandoff(guest, flags, asPagemeshError(error), last)
    process.stderr.write(`pagemesh: ${lost.reason}\n`)
    if (flags.json === true) writeJson(lost)
    process.exitCode = exitStatusOf(lost.status)
  } finally {
    restore()
  }
}

function requestOf(guest: string, flags: MigrateFlags): MigrateArguments {
  const { to, mode, maxBandwidth, maxDowntime, timeout, dryRun } = flags
  return {
    guest, to, mode,
    ...(maxBandwidth === undefined ? {} : { maxBandwidth }),
    ...(maxDowntime === undefined ? {} : { maxDowntimeMs: maxDowntime }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(dryRun === undefined ? {} : { dryRun }),
  }
}

function report(result: HandoffResult, flags: MigrateFlags): void {
  process.exitCode = exitStatusOf(result.status)
  if (result.status === 'completed') {
    show(result, renderResult(result), flags)
    return
  }
  if (flags.json === true) writeJson(result)
  const { guest, to, status, reason = 'The agent gave no reason; see its log.' } = result
  process.stderr.write(`pagemesh: The handoff of ${guest} to ${to} ${wordsOf(status)}: ${reason}\n`)
}

function show(value: unknown, text: string, flags: MigrateFlags): void {
  if (flags.json === true) writeJson(value)
  else process.stdout.write(`${text}\n`)
}

/** What can be said when the agent refused, died or was never there. Pure. */
function lostHandoff(
  guest: string, { to, mode }: MigrateFlags, error: PagemeshError, last: HandoffProgress | undefined,
): LostHandoff {
  const reason = error.code === 'agent-ended'
    ? `The agent on this host ended during the handoff of ${guest} to ${to}. Before switchover the guest goes on ` +
      'here: start the agent again, look at both QEMUs, and repeat the handoff if the guest is still here.'
    : describeError(error)
  return {
    guest, to, mode, reason,
    status: error.fault === 'cancelled' ? 'cancelled' : 'failed',
    code: error.code,
    ...(last === undefined ? {} : {
      from: last.from, totalMs: last.elapsedMs, qemuBytes: last.qemuBytes, wireBytes: last.wireBytes,
    }),
  }
}

/** Ctrl-C asks the agent to cancel, and the command waits for the result; a second one waits no longer. */
function cancelOnSignal(progress: ProgressLine): { cancel: AbortSignal; restore: () => void } {
  const abort = new AbortController()
  const onSignal = (): void => {
    if (abort.signal.aborted) {
      progress.say('pagemesh: Not waiting any longer. `pagemesh status` shows whether the handoff still runs.')
      process.exit(EXIT.cancelled)
    }
    progress.say('Cancelling; the guest goes on here unless it has switched over already.')
    abort.abort()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return { cancel: abort.signal, restore: () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal) }
}

function exitStatusOf(status: HandoffResult['status']): number {
  if (status === 'completed') return EXIT.done
  return status === 'cancelled' ? EXIT.cancelled : EXIT.failed
}

function wordsOf(status: HandoffResult['status']): string {
  return status === 'cancelled' ? 'was cancelled' : status
}
