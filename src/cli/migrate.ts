import { Option, type Command } from 'commander'

import type { MigrateArguments } from '../daemon/control/index.ts'
import type { MigrateRequest, MigrationMode } from '../index.ts'
import {
  channelsArgument, millisecondsArgument, nameArgument, onTimeoutOption, rateArgument, requireTimeout, secondsArgument,
  withAgentFlags, type AgentFlags,
} from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { followHandoff } from './following.ts'

interface MigrateFlags extends AgentFlags {
  to: string
  mode: MigrationMode
  /** Bytes a second. */
  maxBandwidth?: number
  maxDowntime?: number
  channels: number | 'auto'
  /** Milliseconds. */
  timeout?: number
  onTimeout?: MigrateRequest['onTimeout']
  wait?: true
  dryRun?: true
}

export function addMigrate(program: Command): void {
  withAgentFlags(program.command('migrate'))
    .summary('hand a guest to another host')
    .description('Hands GUEST to another host of the mesh, where a QEMU of the same -name waits with ' +
      '-incoming defer. Ctrl-C asks to cancel: the guest then stays here, unless QEMU says that it is too late.')
    .argument('<guest>', 'name of the guest', nameArgument)
    .requiredOption('--to <host>', 'name of the destination host', nameArgument)
    .addOption(new Option('--mode <mode>', 'when the guest switches over')
      .choices(['precopy', 'postcopy']).default('precopy'))
    .option('--max-bandwidth <rate>', 'most bytes on the wire, such as 500Mbit', rateArgument)
    .option('--max-downtime <ms>', 'longest pause at switchover, milliseconds', millisecondsArgument)
    .option(
      '--channels <n>', 'QEMU connections that pages travel over, 1 to 16 (post-copy: 1), or auto', channelsArgument,
      'auto',
    )
    .option('--timeout <s>', 'longest time in the queue, and then until the guest switches over, seconds',
      secondsArgument)
    .addOption(onTimeoutOption())
    .option('--wait', 'queue where as many guests leave already as may at once, instead of failing')
    .option('--dry-run', 'only say what it would come to, and what stands in the way')
    .addHelpText('after', `
Examples:
  pagemesh migrate web-1 --to host-b
  pagemesh migrate web-1 --to host-b --mode postcopy --max-bandwidth 500Mbit
  pagemesh migrate web-1 --to host-b --timeout 60 --on-timeout postcopy
  pagemesh migrate web-1 --to host-b --dry-run --json

${EXIT_HELP}`)
    .action(async (guest: string, flags: MigrateFlags, command: Command) => {
      const { to, mode, channels } = flags
      if (mode === 'postcopy' && channels !== 'auto' && channels > 1) {
        command.error('error: --channels N is for --mode precopy: QEMU has no multifd in post-copy.')
      }
      requireTimeout(command, flags)
      if (flags.onTimeout === 'postcopy' && channels !== 'auto' && channels > 1) {
        command.error('error: --channels N is not for --on-timeout postcopy: QEMU has no multifd in post-copy.')
      }
      await followHandoff({ command: 'migrate', arguments: requestOf(guest, flags) }, { guest, to, mode }, flags)
    })
}

function requestOf(guest: string, flags: MigrateFlags): MigrateArguments {
  const { to, mode, maxBandwidth, maxDowntime, channels, timeout, onTimeout, wait, dryRun } = flags
  return {
    guest, to, mode,
    ...(maxBandwidth === undefined ? {} : { maxBandwidth }),
    ...(maxDowntime === undefined ? {} : { maxDowntimeMs: maxDowntime }),
    ...(channels === 'auto' ? {} : { channels }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(onTimeout === undefined ? {} : { onTimeout }),
    ...(wait === undefined ? {} : { wait }),
    ...(dryRun === undefined ? {} : { dryRun }),
  }
}
