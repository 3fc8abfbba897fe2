import { access, constants, glob, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

import { createAgent, type AgentStatus } from '../index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { readConfig, type Config } from './config.ts'

export interface UsableConfig {
  config: Config
  /** What would hash pages here. */
  kernel: AgentStatus['kernel']
}

/**
 * Reads a configuration and looks at what it names: the key, the name, and where the agent's files would be. Touches
 * nothing. Throws PagemeshError `bad-config` and what `createAgent` throws.
 */
export async function readUsableConfig(file: string): Promise<UsableConfig> {
  const config = await readConfig(file)
  // An agent that is made and not started has read the key and checked the name, and touched nothing.
  const { kernel } = (await createAgent(config.agentOptions)).status()
  await requireDirectory(config.agentOptions.store?.path ?? '/', 'store.path')
  await requireDirectory(dirname(config.control), 'control')
  return { config, kernel }
}

/** The sockets that are there now at paths that match, sorted. */
export async function findSockets(globs: readonly string[]): Promise<string[]> {
  const found = new Set<string>()
  for await (const path of glob([...globs])) {
    // A socket that has gone since it was listed is none.
    if ((await stat(path).catch(() => undefined))?.isSocket() === true) found.add(path)
  }
  return [...found].sort()
}

/** `path`, or the nearest folder above it that is there. */
export async function nearestExisting(path: string): Promise<string> {
  const isMissing = (candidate: string): Promise<boolean> => stat(candidate).then(() => false, () => true)
  let existing = path
  while (existing !== dirname(existing) && await isMissing(existing)) existing = dirname(existing)
  return existing
}

/** Throws PagemeshError `bad-config` unless `path` may be written to, or the nearest folder above it that is there. */
async function requireDirectory(path: string, key: string): Promise<void> {
  const existing = await nearestExisting(path)
  // What cannot be looked at is no directory that could be used, and this is said below.
  const isDirectory = (await stat(existing).catch(() => undefined))?.isDirectory() === true
  const isWritable = await access(existing, constants.W_OK | constants.X_OK).then(() => true, () => false)
  if (isDirectory && isWritable) return
  const message = `\`${key}\` cannot be used: ${existing} is not a writable directory.`
  throw new PagemeshError('bad-config', message, {
    fault: 'usage', data: { key, path: existing }, advice: 'Set another path, or let the agent\'s user write there.',
  })
}
