import type { Command } from 'commander'

import { isoTime, systemClock } from '../runtime/clock.ts'
import { printable } from '../text/printable.ts'
import { formatBytes } from '../text/units.ts'
import { withHostFlags, type HostFlags } from './arguments.ts'
import { renderFindings } from './doctortext.ts'
import { EXIT_HELP, failAnswer, writeJson } from './exit.ts'

interface BugReportFlags extends HostFlags {
  json?: true
}

export function addBugReport(program: Command): void {
  withHostFlags(program.command('bugreport'))
    .summary('gather what a report of a fault needs')
    .description('Writes FILE, a .tar.gz for its owner alone: what the doctor finds, status, history, metrics, the\n' +
      'last lines of the unit\'s log, the configuration and versions. It has no keys and no pages of guests, but\n' +
      'names and addresses of hosts and guests: look through it before you hand it on. Never overwrites a file.')
    .argument('[file]', 'where it goes; default: pagemesh-HOST-TIME.tar.gz here')
    .option('--json', 'one JSON object on standard output, nothing else there')
    .addHelpText('after', `
Example:
  pagemesh bugreport && tar -tzf pagemesh-*.tar.gz

${EXIT_HELP}`)
    .action((file: string | undefined, flags: BugReportFlags) => report(file, flags, program.version()!))
}

async function report(given: string | undefined, flags: BugReportFlags, version: string): Promise<void> {
  try {
    const { bugReport, gather, judge, writeArchive } = await import('../daemon/doctor/index.ts')
    const facts = await gather({ file: flags.config, control: flags.control, to: undefined, version })
    const findings = judge(facts)
    const files = await bugReport(facts, findings, renderFindings(printable(findings)))
    const now = systemClock.wallTime()
    const host = facts.configuration.config?.agentOptions.name ?? facts.agent.examination?.status.host ?? 'host'
    // A configuration that is not valid may call its host anything. Names in an archive have 100 bytes at most.
    const time = isoTime(now).replace(/[-:]|\.\d+/g, '')
    const directory = `pagemesh-${host.replace(/[^\w.-]/g, '_').slice(0, 40)}-${time}`
    const file = given ?? `${directory}.tar.gz`
    const bytes = await writeArchive(file, files, { directory, mtime: now })
    if (flags.json === true) writeJson({ file, bytes, contents: files.map(({ name }) => name) })
    else process.stdout.write(`${printable(file)}: ${formatBytes(bytes)}, for you alone to read.\n`)
  } catch (error) {
    failAnswer(error, flags.json === true)
  }
}
