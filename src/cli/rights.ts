import { existsSync, readFileSync } from 'node:fs'

import { AGENT_RIGHTS, INTERCEPT_RIGHT, keptRights, parseCapabilities } from '../host/rights.ts'

const SETPCAP_BIT = 8
/** Both belong to util-linux. */
const PROGRAMS = { prlimit: '/usr/bin/prlimit', setpriv: '/usr/bin/setpriv' }
/** Environment variable of a process that has tried to give up rights: it tries only once. */
const DONE = 'PAGEMESH_RIGHTS'

/**
 * Executes this program again in the same process, with only the capabilities that its configuration needs, and with
 * core files off, because they would hold pages and keys. Returns if there is nothing to give up, if that is not
 * allowed, or if the system lacks the programs for it.
 */
export async function giveUpRights(configFile: string): Promise<void> {
  if (process.platform !== 'linux' || process.env[DONE] !== undefined) return
  const held = parseCapabilities(readFileSync('/proc/self/status', 'utf8'), 'CapPrm')
  const kept = await doesIntercept(configFile) ? [...AGENT_RIGHTS, INTERCEPT_RIGHT] : AGENT_RIGHTS
  const isMore = held.some((bit) => !kept.some((right) => right.bit === bit))
  if (!isMore || !held.includes(SETPCAP_BIT)) return
  if (!Object.values(PROGRAMS).every((path) => existsSync(path))) return
  const words = [
    PROGRAMS.prlimit, '--core=0', PROGRAMS.setpriv, '--no-new-privs', `--bounding-set=${keptRights(kept)}`,
    '--inh-caps=-all', '--ambient-caps=-all', '--', process.execPath, ...process.execArgv, ...process.argv.slice(1),
  ]
  process.execve!(PROGRAMS.prlimit, words, { ...process.env as Record<string, string>, [DONE]: 'few' })
}

/** Whether the configuration enables interception. Flaws are reported when it is read again. */
async function doesIntercept(configFile: string): Promise<boolean> {
  const { isMap, parseDocument } = await import('yaml')
  try {
    const { contents } = parseDocument(readFileSync(configFile, 'utf8'))
    return isMap(contents) && contents.has('intercept')
  } catch {
    // The next read reports the error.
    return false
  }
}
