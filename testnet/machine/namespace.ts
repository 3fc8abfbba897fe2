import { existsSync } from 'node:fs'

import { systemErrorCode } from '../../src/runtime/errors.ts'
import { runCommand } from './command.ts'

/**
 * Names of the lab's network namespaces: `pm-PID-N` is the switch of the Nth network of process PID, and
 * `pm-PID-N-HOST` a host of it. Everything else of a network lives inside them and goes with them.
 */
export function namespaceName(network: number, host?: string): string {
  const name = `pm-${process.pid}-${network}`
  return host === undefined ? name : `${name}-${host}`
}

export async function addNamespace(name: string): Promise<void> {
  await runCommand(['ip', 'netns', 'add', name])
  await runCommand(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
}

/** Kills every process in a namespace of the lab, then deletes it. No error if it is gone. */
export async function deleteNamespace(name: string): Promise<void> {
  if (!existsSync(`/run/netns/${name}`)) return
  try {
    const pids = (await runCommand(['ip', 'netns', 'pids', name])).split('\n').filter((line) => line !== '')
    for (const pid of pids) killIfThere(Number(pid))
    await runCommand(['ip', 'netns', 'delete', name])
  } catch (error) {
    // Another process may be deleting the same leftovers.
    if (existsSync(`/run/netns/${name}`)) throw error
  }
}

/** Deletes namespaces named after a process that has ended. */
export async function deleteOrphanedNamespaces(): Promise<string[]> {
  const names = (await runCommand(['ip', 'netns', 'list'])).split('\n').map((line) => line.split(' ')[0] ?? '')
  const orphans = names.filter((name) => {
    const owner = /^pm-(\d+)-\d+(?:-|$)/.exec(name)?.[1]
    return owner !== undefined && !existsSync(`/proc/${owner}`)
  })
  for (const name of orphans) await deleteNamespace(name)
  return orphans
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error
  }
}
