import { existsSync, readFileSync } from 'node:fs'

import { AGENT_RIGHTS, INTERCEPT_RIGHT, keptRights, parseCapabilities } from '../host/rights.ts'

const SETPCAP_BIT = 8
/** Both are of util-linux. */
const PROGRAMS = { prlimit: '/usr/bin/prlimit', setpriv: '/usr/bin/setpriv' }
/** Set in a process that has given up rights already: it does so once, whatever came of it. */
const DONE = 'PAGEMESH_RIGHTS'

/**
 * Starts this program again, as the same process, with the rights alone that its configuration takes, and so that it
 * leaves no core file with pages or keys. Returns if it has no others, may not give any up, or the system lacks the
 * programs for it.
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

/** Whether the configuration has interception. What else is wrong with it, whoever reads it says. */
async function doesIntercept(configFile: string): Promise<boolean> {
  const { isMap, parseDocument } = await import('yaml')
  try {
    const { contents } = parseDocument(readFileSync(configFile, 'utf8'))
    return isMap(contents) && contents.has('intercept')
  } catch {
    // Who reads it next says why it cannot be read.
    return false
  }
}
