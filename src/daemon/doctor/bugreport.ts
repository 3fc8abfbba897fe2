import { execFile } from 'node:child_process'
import { arch, release, version as kernelVersion } from 'node:os'

import { OPTIONS } from '../../index.ts'
import { describeError } from '../../runtime/errors.ts'
import type { Config } from '../config.ts'
import { askAgent, type MetricsResult } from '../control/index.ts'
import type { ArchiveFile } from './archive.ts'
import type { Facts } from './facts.ts'
import type { Finding } from './finding.ts'

/** The unit that the README has, and its last lines. */
const UNIT = 'pagemesh'
const LOG_LINES_MAX = 2_000
const LOG_BYTES_MAX = 8 * 1024 * 1024
const ANSWER_MS_MAX = 10_000
/** What somebody's PATH finds may be anything. */
const JOURNALCTL = '/usr/bin/journalctl'

/**
 * What somebody who looks for a fault wants to know of this host, a file each. All of it is asked of the agent and the
 * doctor by name: no key, no page and no other file of the host is ever read for it.
 *
 * @param text the doctor's findings for people.
 */
export async function bugReport(facts: Facts, findings: readonly Finding[], text: string): Promise<ArchiveFile[]> {
  const { agent, configuration, ...host } = facts
  const { status, ...examined } = agent.examination ?? { status: null }
  return [
    { name: 'doctor.txt', body: `${text}\n` },
    json('doctor.json', findings),
    json('host.json', { ...host, control: agent.control, failure: agent.failure, examined }),
    json('configuration.json', { ...configuration, config: shownConfig(configuration.config) }),
    json('status.json', status),
    json('history.json', agent.history),
    json('versions.json', {
      pagemesh: facts.program.version, agent: status?.version ?? null, node: process.versions, linux: release(),
      kernel: kernelVersion(), arch: arch(),
    }),
    { name: 'metrics.txt', body: await readMetrics(agent.control) },
    { name: 'log.txt', body: await readJournal() },
  ]
}

function json(name: string, value: unknown): ArchiveFile {
  return { name, body: `${JSON.stringify(value, null, 2)}\n` }
}

/** What the options table knows, and nothing else that a file may have, such as comments. Of the key only its path. */
function shownConfig(config: Config | null): Record<string, unknown> | null {
  if (config === null) return null
  const values: Record<string, unknown> = { ...config.agentOptions, control: config.control, http: config.http }
  const sections = new Set(OPTIONS.map(({ key }) => key.split('.')[0]!))
  return Object.fromEntries([...sections].map((key) => [key, values[key]]))
}

async function readMetrics(control: string): Promise<string> {
  try {
    const { text } = await askAgent<MetricsResult>({
      path: control, request: { command: 'metrics' }, answerMsMax: ANSWER_MS_MAX,
    })
    return text
  } catch (error) {
    return `# ${describeError(error)}\n`
  }
}

/** The last lines of the agent's log where its unit writes them, or why there are none. */
async function readJournal(): Promise<string> {
  const words = [`--unit=${UNIT}`, `--lines=${LOG_LINES_MAX}`, '--output=short-iso', '--no-pager', '--quiet']
  const limits = { timeout: ANSWER_MS_MAX, maxBuffer: LOG_BYTES_MAX }
  return await new Promise((resolve) => {
    execFile(JOURNALCTL, words, limits, (error, said, complaints) => {
      const why = error === null ? 'it has written nothing.' : complaints || error.message
      resolve(said === '' ? `There is no log of the unit ${UNIT}: ${why}\n` : said)
    })
  })
}
