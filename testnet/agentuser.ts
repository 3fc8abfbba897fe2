import { readFileSync } from 'node:fs'

import { AGENT_RIGHTS, keptRights, type Right } from '../src/host/rights.ts'
import { runCommand } from './machine/command.ts'

const UNIT = new URL('../src/daemon/pagemesh.service', import.meta.url)

/** The user of the agents' service. */
export interface AgentUser {
  uid: number
  gid: number
  /** Prefix of a command, to run it as that user with the capabilities of the service and no others. */
  words: readonly string[]
}

/** The value of a setting in the service's unit; the last, if there are several. Throws if there is none. Pure. */
export function unitSetting(unit: string, name: string): string {
  const value = [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].at(-1)?.[1]
  if (value === undefined) throw new Error(`the unit has no ${name}`)
  return value
}

/**
 * The user of the service's unit, which testnet/setup.sh makes, with further capabilities; undefined if this process
 * may not act as another user. Throws LabError `lab-command-failed` if there is no such user.
 */
export async function findAgentUser(further: readonly Right[] = []): Promise<AgentUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const kept = keptRights([...AGENT_RIGHTS, ...further])
  const unit = readFileSync(UNIT, 'utf8')
  const user = unitSetting(unit, 'User')
  const [uid, gid] = [Number(await runCommand(['id', '-u', user])), Number(await runCommand(['id', '-g', user]))]
  return {
    uid, gid,
    words: [
      'setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs',
      `--bounding-set=${kept}`, `--inh-caps=${kept}`, `--ambient-caps=${kept}`,
    ],
  }
}
