import { Option, type Command } from 'commander'

import type { Log, LogLevel } from '../runtime/log.ts'
import { EXIT, EXIT_HELP, failConfigured } from './exit.ts'
import { giveUpRights } from './rights.ts'
import { tellServiceManager } from './servicemanager.ts'

const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent']

export function addAgent(program: Command): void {
  program.command('agent')
    .summary('run the agent of this host')
    .description('Runs the agent of this host in the foreground until SIGTERM or SIGINT; a second one ends it at\n' +
      'once. Logs are JSON lines on standard error.')
    .requiredOption('--config <file>', 'configuration, YAML')
    .addOption(new Option('--log-level <level>', 'least level that is logged').choices(LOG_LEVELS).default('info'))
    .addHelpText('after', `
Example:
  pagemesh agent --config /etc/pagemesh/agent.yaml

${EXIT_HELP}`)
    .action(runAgent)
}

async function runAgent(flags: { config: string; logLevel: LogLevel }): Promise<void> {
  await giveUpRights(flags.config)
  const ending = endingSignal()
  try {
    const { readConfig, runDaemon } = await import('../daemon/index.ts')
    const { createLog } = await import('../runtime/log.ts')
    const config = await readConfig(flags.config)
    const log = createLog(flags.logLevel)
    logWarnings(log)
    await runDaemon({ config, log, signal: ending, announce: (news) => tellServiceManager(news, log) })
  } catch (error) {
    failConfigured(error)
  }
}

/** Writes Node's own warnings to the log instead of as plain text. */
function logWarnings(log: Log): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message, stack }) => log.warn('Node warns', { name, warning: message, stack }))
}

/** Aborts at the first SIGTERM or SIGINT; the second ends the process at once. */
function endingSignal(): AbortSignal {
  const abort = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) process.exit(EXIT.failed)
      abort.abort()
    })
  }
  return abort.signal
}
