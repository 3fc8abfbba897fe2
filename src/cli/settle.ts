import { Option, type Command } from 'commander'

import { askAgent } from '../daemon/control/index.ts'
import type { HeldGuest, SettleDecision, SettleOutcome } from '../index.ts'
import { printable } from '../text/printable.ts'
import { formatDuration } from '../text/units.ts'
import { nameArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { canAsk, confirm } from './confirm.ts'
import { complain, EXIT, EXIT_HELP, failAnswer, writeJson } from './exit.ts'

/** Long enough for QEMU to open its disks, or to end. */
const ANSWER_MS_MAX = 120_000

interface SettleFlags extends AgentFlags {
  run?: true
  end?: true
  yes?: true
}

export function addSettle(program: Command): void {
  const command = withAgentFlags(program.command('settle'))
  command
    .summary('decide for a guest that is held here')
    .description('Decides for GUEST, whose copy is held here, paused, because it is not known whether the other one ' +
      'may run. Says first what is known of the other copy. A guest that runs twice destroys its disks: ' +
      'look at the other host before you let it run here, and never end the only copy.')
    .argument('<guest>', 'name of the guest', nameArgument)
    .addOption(new Option('--run', 'the copy here goes on as the guest was at the source').conflicts('end'))
    .option('--end', 'the copy here is ended; another one is safe')
    .option('--yes', 'ask nothing on a terminal')
    .addHelpText('after', `
Examples:
  pagemesh settle web-1 --run        the other copy is gone for good
  pagemesh settle web-1 --end        the guest runs on the other host

${EXIT_HELP}`)
    .action(async (guest: string, flags: SettleFlags) => {
      if (flags.run === undefined && flags.end === undefined) command.error('error: one of --run and --end is needed')
      await settle(guest, flags.run === true ? 'run' : 'end', flags)
    })
}

async function settle(guest: string, decision: SettleDecision, { control, json, yes }: SettleFlags): Promise<void> {
  const ask = { path: control, answerMsMax: ANSWER_MS_MAX }
  try {
    const held = await askAgent<HeldGuest>({ ...ask, request: { command: 'held', arguments: { guest } } })
    process.stderr.write(`${describeHeld(printable(held))}\n`)
    if (yes !== true && canAsk() && !await confirm(questionOf(printable(held), decision))) {
      complain(`Nothing was decided: ${guest} is still held here.`)
      if (json === true) writeJson({ guest, decision: null, otherCopy: held.otherCopy })
      process.exitCode = EXIT.cancelled
      return
    }
    const request = { command: 'settle', arguments: { guest, decision } } as const
    const outcome = await askAgent<SettleOutcome>({ ...ask, request })
    if (json === true) writeJson({ ...outcome, otherCopy: held.otherCopy })
    else process.stdout.write(`${describeOutcome(printable(outcome))}\n`)
  } catch (error) {
    failAnswer(error, json === true)
  }
}

function describeHeld({ guest, from, sinceMs, why, otherCopy }: HeldGuest): string {
  return `${guest} from ${from} has been held here for ${formatDuration(sinceMs)}: ${why}\n` +
    `The other copy, on ${from}: ${otherCopy}`
}

function questionOf({ guest, from }: HeldGuest, decision: SettleDecision): string {
  return decision === 'run'
    ? `Is it certain that ${guest} never runs on ${from} again? Let it go on here?`
    : `Is it certain that ${guest} is safe on ${from}? End the copy here?`
}

function describeOutcome({ guest, decision, state }: SettleOutcome): string {
  if (decision === 'end') return `Settled: the copy of ${guest} here has ended.`
  return `Settled: ${guest} is here now, ${state}${state === 'running' ? '' : ', as it was at the source'}.`
}
