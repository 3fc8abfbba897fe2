import type { Command } from 'commander'

import { printable } from '../text/printable.ts'
import { nameArgument, withHostFlags, type HostFlags } from './arguments.ts'
import { renderFindings } from './doctortext.ts'
import { EXIT, EXIT_HELP, failAnswer, writeJson } from './exit.ts'

interface DoctorFlags extends HostFlags {
  to?: string
  json?: true
}

export function addDoctor(program: Command): void {
  withHostFlags(program.command('doctor'))
    .summary('look for what is wrong with this host')
    .description('Looks at everything that a handoff needs: configuration, agent, rights, the kernel\'s switches,\n' +
      'disk, the ways to other hosts and back, and guests. Says of each whether it is ok, and what to do.')
    .option('--json', 'one JSON object on standard output, nothing else there')
    .option('--to <host>', 'of the other hosts, look at this one alone', nameArgument)
    .addHelpText('after', `
Examples:
  pagemesh doctor
  pagemesh doctor --to host-b
  pagemesh doctor --json | jq '.checks[] | select(.verdict != "ok")'

Nothing is broken where the exit status is 0; there may be warnings.

${EXIT_HELP}`)
    .action((flags: DoctorFlags) => examineHost(flags, program.version()!))
}

async function examineHost({ config, control, to, json }: DoctorFlags, version: string): Promise<void> {
  try {
    const { gather, judge } = await import('../daemon/doctor/index.ts')
    const checks = judge(await gather({ file: config, control, to, version }))
    if (json === true) writeJson({ checks })
    else process.stdout.write(`${renderFindings(printable(checks))}\n`)
    if (checks.some(({ verdict }) => verdict === 'broken')) process.exitCode = EXIT.failed
  } catch (error) {
    failAnswer(error, json === true)
  }
}
