/** The three hosts of the month, real or played. */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

export const HOSTS = ['a', 'b', 'c'] as const
export type HostName = typeof HOSTS[number]

/** Where a process of visitors or strangers runs. */
export interface Outside {
  /** Prefix of its command. */
  exec: readonly string[]
  address: string
}

export interface MonthHosts {
  /** Processes of the agents. */
  pid(host: HostName): number
  /** Hands the guest on from host to host; resolves to the time, ms. Rejects if it does not arrive. */
  handOff(number: number): Promise<number>
  /** The same, and compares what is there afterwards; rejects if it is not what was. */
  compare(number: number): Promise<void>
  /** Whether the agent sees the two others and nobody else, and hands nothing over. */
  isQuiet(host: HostName): Promise<boolean>
  /** A place outside, for a process without an agent. */
  readonly outside: Record<'visitors' | 'strangers', Outside>
  /** Path of the cluster key, and what to dial first. */
  readonly clusterKey: string
  readonly bootstrap: string[]
  /** Every port that listens. */
  readonly doors: { host: string; port: number }[]
  readonly directory: string
  logs(): string
  close(): Promise<void>
}

/** Which host the guest goes to from `home` as its handoff of this number: in time from each to each. Pure. */
export function nextHost(home: HostName, number: number): HostName {
  return HOSTS[(HOSTS.indexOf(home) + 1 + Math.floor(number / 2) % 2) % HOSTS.length]!
}

/** Where the probes' sockets lie, within the hosts' directory. */
export const PROBES = 'probes'

/** The environment of an agent with a probe. */
export function probedEnvironment(hostsDirectory: string): Record<string, string> {
  const directory = join(hostsDirectory, PROBES)
  mkdirSync(directory, { recursive: true })
  // The agents are another user's processes.
  chmodSync(directory, 0o777)
  chmodSync(hostsDirectory, 0o755)
  const options = `${process.env['NODE_OPTIONS'] ?? ''} --import ${new URL('probe.ts', import.meta.url).pathname}`
  return { NODE_OPTIONS: options.trim(), PROBE_DIRECTORY: directory }
}
