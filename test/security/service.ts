/** The agent's service under its own systemd: process ids, mounts and control groups that end with it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { readArguments } from '../../src/guest/process.ts'
import { readOrNothing } from '../../src/guest/vanishing.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PAGEMESH, waitFor, type LabHost } from '../../testnet/index.ts'

export const UNIT = fileURLToPath(new URL('../../src/daemon/pagemesh.service', import.meta.url))
const UP_MS_MAX = 30_000
/** It has its own /run and /var/lib, without the units that it would start by default. */
const BEGIN = `
  mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib &&
  mount -t tmpfs tmpfs /etc/systemd/system && mkdir -p /run/systemd/system && cp -r "$0"/. /etc/systemd/system &&
  exec env container=other SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --system --unit=agents.target
`

/** Hosts of the loopback interface whose agents are services. */
export class Services {
  readonly #directory: string
  readonly #names: readonly string[]
  #process: ChildProcess | undefined
  #said = ''

  /** @param directory for its files; only root may change it. */
  constructor(directory: string, names: readonly string[]) {
    this.#directory = directory
    this.#names = names
  }

  /** Starts all agents; resolves when systemd reports them as running. Rejects with systemd's output otherwise. */
  async start(): Promise<void> {
    const units = join(this.#directory, 'units')
    mkdirSync(units, { recursive: true })
    const wants = this.#names.map((name) => `Wants=${serviceOf(name)}`).join('\n')
    writeFileSync(join(units, 'agents.target'), `[Unit]\n${wants}\n`)
    for (const name of this.#names) this.#writeService(units, name)
    const words = ['--pid', '--fork', '--mount', '--mount-proc', '--cgroup', '--ipc', '--uts', '--kill-child']
    this.#process = spawn('unshare', [...words, 'sh', '-c', BEGIN, units], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (bytes: Buffer) => { this.#said = (this.#said + bytes.toString()).slice(-10_000) })
    }
    await waitFor(async () => {
      if (this.#process?.exitCode !== null) throw new Error(`systemd ended: ${this.#said}`)
      return this.#names.every((name) => this.pidOf(name) !== undefined) ? true : undefined
    }, { clock: systemClock, what: 'systemd to start the agents', timeoutMs: UP_MS_MAX, pauseMs: 50 })
  }

  /** The process of a host's agent, by its id outside. */
  pidOf(name: string): number | undefined {
    const config = this.configOf(name)
    return descendantsOf(this.#process?.pid ?? 0).find((pid) => {
      const words = readArguments(pid)
      return words.includes('agent') && words.includes(config) && words[0] === process.execPath
    })
  }

  configOf(name: string): string {
    return join(this.#directory, `${name}.yaml`)
  }

  logOf(name: string): string {
    return readOrNothing(join(this.#directory, `${name}.log`)) ?? ''
  }

  /** The control socket of a host's agent, and its other paths, as named inside. */
  controlOf(name: string): string {
    return `/run/pagemesh-${name}/control.sock`
  }

  /** A host for running commands inside. */
  host(name: string, address: string, words: readonly string[] = []): LabHost {
    const [init] = childrenOf(this.#process?.pid ?? 0)
    return { name, address, exec: ['nsenter', `--target=${init}`, '--pid', '--mount', '--', ...words] }
  }

  /** Ends all processes in it. */
  async stop(): Promise<void> {
    const ending = this.#process
    if (ending === undefined || ending.exitCode !== null) return
    const ended = new Promise((resolve) => ending.once('close', resolve))
    ending.kill('SIGKILL')
    await ended
  }

  #writeService(units: string, name: string): void {
    writeFileSync(join(units, serviceOf(name)), readFileSync(UNIT, 'utf8'))
    mkdirSync(join(units, `${serviceOf(name)}.d`))
    // Two services on one machine, with this checkout's program and none of the machine's units.
    writeFileSync(join(units, `${serviceOf(name)}.d`, 'test.conf'), `
[Unit]
DefaultDependencies=no
[Service]
ExecStart=
ExecStart=${PAGEMESH.join(' ')} agent --config ${this.configOf(name)}
RuntimeDirectory=
RuntimeDirectory=pagemesh-${name}
StateDirectory=
StateDirectory=pagemesh-${name}
StandardError=append:${join(this.#directory, `${name}.log`)}
`)
  }
}

function serviceOf(name: string): string {
  return `pagemesh-${name}.service`
}

function childrenOf(pid: number): number[] {
  return (readOrNothing(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter((word) => word !== '').map(Number)
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])
}
