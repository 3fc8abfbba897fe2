import { readFileSync } from 'node:fs'

import { AGENT_RIGHTS, keptRights, type Right } from '../src/host/rights.ts'
import { runCommand } from './machine/command.ts'

const UNIT = new URL('../src/daemon/pagemesh.service', import.meta.url)

/** A user that agents run as, as their service does. */
export interface AgentUser {
  uid: number
  gid: number
  /** Put before a command to run it as that user, with the capabilities of the service and no others. */
  words: readonly string[]
}

/** What a line of the service's unit says; the last, if there are more. Throws if there is none. Pure. */
export function unitSetting(unit: string, name: string): string {
  const value = [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].at(-1)?.[1]
  if (value === undefined) throw new Error(`the unit says nothing of ${name}`)
  return value
}

/**
 * The user of the service's unit, which testnet/setup.sh makes, with rights besides the unit's; undefined for who may
 * not act as another user. Throws LabError `lab-command-failed` where there is no such user.
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
