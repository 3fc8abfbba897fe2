import { spawn } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'

import { askAgent } from '../src/daemon/control/index.ts'
import { INTERCEPT_RIGHT, type Right } from '../src/host/rights.ts'
import { writeClusterKey, type AgentStatus, type Clock, type HandoffResult } from '../src/index.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { describeError } from '../src/runtime/errors.ts'
import { findAgentUser } from './agentuser.ts'
import { LabError } from './laberror.ts'
import type { LabHost } from './machine/network.ts'
import { startProcess, type LabProcess } from './machine/process.ts'
import { waitFor } from './wait.ts'

const CLI = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
/** Runs the program like its own first line: this Node, with the flags written there. */
export const PAGEMESH: readonly string[] = [process.execPath, ...nodeFlags(readFileSync(CLI, 'utf8')), CLI]
const MESH_PORT = 4001
const START_TIMEOUT_MS = 120_000
const SETTLE_TIMEOUT_MS = 120_000
const STATUS_TIMEOUT_MS = 10_000
/** Time between two polls, ms. */
const PAUSE_MS = 100

export interface AgentOptions {
  host: LabHost
  /** For the agent's own files; `guestDirectory` is its guests'. */
  directory: string
  /** The agent's guests are its `*.qmp` sockets. */
  guestDirectory: string
  /** Its key and the hosts to dial first; `joined`: its configuration has them already, from `pagemesh join`. */
  mesh: { clusterKey: string; bootstrap: readonly LabHost[] } | 'joined'
  /** Further configuration, in the form of the configuration file. */
  settings?: Record<string, unknown>
  /** Capabilities of its service beyond the unit's own. */
  rights?: readonly Right[]
  /** Words before its own that change where it runs or writes and then become it. */
  within?: readonly string[]
  clock?: Clock
}

/** The result of a finished command. */
export interface CommandOutcome {
  status: number
  output: string
  errors: string
}

export interface MigrateOutcome extends CommandOutcome {
  /** Its `--json` output; undefined after wrong usage. */
  result: HandoffResult | undefined
}

/**
 * A host's agent: its own process on its host, with the user and capabilities of its service, driven through the
 * command line as by an operator.
 */
export interface LabAgent {
  readonly host: LabHost
  readonly pid: number
  /** The end of its log: JSON lines. */
  readonly log: string
  readonly running: boolean
  /** Its control socket. */
  readonly control: string
  /** Runs `pagemesh` with these arguments and the agent's control socket. */
  command(...words: string[]): Promise<CommandOutcome>
  /**
   * Asks the control socket without a command: starting a process for each poll would slow the measured system down.
   */
  status(): Promise<AgentStatus>
  /** Resolves when it sees `peers` peers and has scanned all its guests. */
  settled(peers: number): Promise<AgentStatus>
  migrate(guest: string, to: string, ...words: string[]): Promise<MigrateOutcome>
  /** Kills it at once, like a crash. */
  kill(): Promise<void>
  /** Ends it with SIGTERM, like an operator. */
  stop(): Promise<void>
}

/** Makes a cluster key for a lab in `directory` and returns its path. */
export async function createLabKey(directory: string): Promise<string> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'cluster.key')
  await writeClusterKey(path)
  return path
}

/** The configuration of the agent whose files are in `directory`. */
export function configOf(directory: string): string {
  return join(directory, 'agent.yaml')
}

/** Starts an agent; resolves when its control socket answers. Throws LabError `lab-agent-ended` with its log. */
export async function startAgent(options: AgentOptions): Promise<LabAgent> {
  const { host, directory, guestDirectory, mesh, settings, clock = systemClock } = options
  mkdirSync(directory, { recursive: true })
  mkdirSync(guestDirectory, { recursive: true })
  const control = join(directory, 'control.sock')
  const config = configOf(directory)
  writeFileSync(config, stringify({
    ...mesh === 'joined' ? {} : {
      name: host.name,
      clusterKey: mesh.clusterKey,
      listen: [`/ip4/${host.address}/tcp/${MESH_PORT}`],
      bootstrap: mesh.bootstrap.map(({ address }) => `/ip4/${address}/tcp/${MESH_PORT}`),
    },
    guests: [join(guestDirectory, '*.qmp')],
    control,
    ...settings,
    store: { path: join(directory, 'state'), ...settings?.store as object | undefined },
  }), { flag: mesh === 'joined' ? 'a' : 'w' })
  const user = await findAgentUser([
    ...settings?.intercept === undefined ? [] : [INTERCEPT_RIGHT], ...options.rights ?? [],
  ])
  if (user !== undefined) chownSync(directory, user.uid, user.gid)
  const prefix = [...host.exec, ...options.within ?? [], ...user?.words ?? []]
  const agent = new RunningAgent(options, startProcess(prefix, [...PAGEMESH, 'agent', '--config', config]), control)
  await waitFor(async () => {
    if (!agent.running) {
      throw new LabError('lab-agent-ended', `The agent of ${host.name} ended: ${agent.log}`)
    }
    // Until it answers.
    return await agent.status().catch(() => undefined)
  }, { clock, what: `the agent of ${host.name} to answer`, timeoutMs: START_TIMEOUT_MS, pauseMs: PAUSE_MS })
  return agent
}

class RunningAgent implements LabAgent {
  readonly host: LabHost
  readonly control: string
  readonly #process: LabProcess
  readonly #clock: Clock

  constructor(options: AgentOptions, process: LabProcess, control: string) {
    this.host = options.host
    this.#process = process
    this.control = control
    this.#clock = options.clock ?? systemClock
  }

  get pid(): number {
    return this.#process.pid
  }

  get log(): string {
    return this.#process.errors
  }

  get running(): boolean {
    return this.#process.running
  }

  command(...words: string[]): Promise<CommandOutcome> {
    return runCli(this.host, [...words, '--control', this.control])
  }

  async status(): Promise<AgentStatus> {
    try {
      const request = { command: 'status' } as const
      return await askAgent<AgentStatus>({ path: this.control, request, answerMsMax: STATUS_TIMEOUT_MS })
    } catch (cause) {
      const message = `${this.host.name} does not tell its status: ${describeError(cause)}`
      throw new LabError('lab-agent-ended', message, { cause })
    }
  }

  async settled(peers: number): Promise<AgentStatus> {
    return await waitFor(async () => {
      const status = await this.status()
      return status.settled && status.peers.length >= peers ? status : undefined
    }, { clock: this.#clock, what: `${this.host.name} to settle`, timeoutMs: SETTLE_TIMEOUT_MS, pauseMs: PAUSE_MS })
  }

  async migrate(guest: string, to: string, ...words: string[]): Promise<MigrateOutcome> {
    const outcome = await this.command('migrate', guest, '--to', to, '--json', ...words)
    return { ...outcome, result: resultOf(outcome) }
  }

  async kill(): Promise<void> {
    await this.#process.kill()
  }

  async stop(): Promise<void> {
    await this.#process.terminate()
  }
}

/** What `migrate --json` and `recover --json` print; undefined if the command was used wrongly. */
export function resultOf({ output }: CommandOutcome): HandoffResult | undefined {
  return output === '' ? undefined : JSON.parse(output) as HandoffResult
}

/** Runs the command line program on a host to its end. */
export async function runCli(host: LabHost, words: readonly string[]): Promise<CommandOutcome> {
  const [program = '', ...args] = [...host.exec, ...PAGEMESH, ...words]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.on('data', (bytes: Buffer) => { output += bytes.toString() })
  child.stderr.on('data', (bytes: Buffer) => { errors += bytes.toString() })
  const status = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(127))
    child.once('close', (code) => resolve(code ?? 128))
  })
  return { status, output, errors }
}

function nodeFlags(program: string): string[] {
  const flags = /^#!\S+ -S node (.*)$/m.exec(program)?.[1] ?? ''
  return flags.split(' ').filter((flag) => flag !== '')
}
