import { existsSync, readFileSync } from 'node:fs'

import { AGENT_RIGHTS, AGENT_RIGHTS_KEPT, parseCapabilities } from '../runtime/rights.ts'

const SETPCAP_BIT = 8
const PROGRAMS = ['/usr/bin/setpriv', '/bin/setpriv']
/** Set in a process that has given up rights already: it does so once, whatever came of it. */
const DONE = 'PAGEMESH_RIGHTS'

/**
 * Starts this program again, as the same process, with an agent's rights alone. Returns if it has no others, may not
 * give any up, or the system lacks `setpriv` (util-linux).
 */
export function giveUpRights(): void {
  if (process.platform !== 'linux' || process.env[DONE] !== undefined) return
  const held = parseCapabilities(readFileSync('/proc/self/status', 'utf8'), 'CapPrm')
  const program = PROGRAMS.find((path) => existsSync(path))
  const isMore = held.some((bit) => !AGENT_RIGHTS.some((right) => right.bit === bit))
  if (!isMore || !held.includes(SETPCAP_BIT) || program === undefined) return
  const words = [
    program, '--no-new-privs', `--bounding-set=${AGENT_RIGHTS_KEPT}`, '--inh-caps=-all', '--ambient-caps=-all', '--',
    process.execPath, ...process.execArgv, ...process.argv.slice(1),
  ]
  process.execve!(program, words, { ...process.env as Record<string, string>, [DONE]: 'few' })
}
