/** A Debian of its own to install packages in: root directory, processes, network and control groups end with it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import { childrenOf } from '../../testnet/machine/process.ts'

const SYSTEMD = ['/lib/systemd/systemd', '--system', '--log-target=console']
/** What is process 1 where no service manager is. */
const NOBODY = ['sleep', 'infinity']
const BEGIN = join(import.meta.dirname, 'begin.sh')
const ENVIRONMENT = [
  'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive',
]
const BOOT_MS_MAX = 60_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

export interface Outcome {
  status: number
  output: string
  errors: string
}

export class TestMachine {
  /** Its root directory, as it is called out here. What is mounted inside is not to be seen. */
  readonly root: string
  readonly #folder: string
  readonly #process: ChildProcess
  readonly #ended: Promise<void>

  private constructor(folder: string, root: string, words: readonly string[]) {
    this.#folder = folder
    this.root = root
    const apart = ['--pid', '--fork', '--mount', '--cgroup', '--ipc', '--uts', '--net', '--kill-child']
    this.#process = spawn('unshare', [...apart, BEGIN, root, ...words], { stdio: ['ignore', 'ignore', 'inherit'] })
    this.#ended = new Promise((resolve) => this.#process.once('close', () => resolve()))
  }

  /** From a copy of `debian`. With systemd it resolves when that has started what it starts. */
  static async start(debian: string, { hasSystemd }: { hasSystemd: boolean }): Promise<TestMachine> {
    // It is large, and /tmp may be memory.
    const folder = await mkdtemp('/var/tmp/pm-deb-')
    const root = join(folder, 'root')
    await promisify(execFile)('cp', ['-a', debian, root])
    const machine = new TestMachine(folder, root, hasSystemd ? SYSTEMD : NOBODY)
    try {
      await machine.#boot(hasSystemd)
      return machine
    } catch (error) {
      await machine.stop()
      throw error
    }
  }

  /** Put before a command to run it there. */
  get words(): string[] {
    const [init] = childrenOf(this.#process.pid!)
    return ['nsenter', `--target=${init}`, '--all', ...ENVIRONMENT]
  }

  /** Runs a command to its end, whatever that is. */
  async run(...command: string[]): Promise<Outcome> {
    const [program = '', ...rest] = [...this.words, ...command]
    return await new Promise((resolve) => {
      execFile(program, rest, { maxBuffer: OUTPUT_BYTES_MAX }, (error, output, errors) => {
        resolve({ status: error === null ? 0 : Number(error.code ?? 1), output, errors })
      })
    })
  }

  /** Runs a command that is to succeed, and resolves to what it printed. */
  async must(...command: string[]): Promise<string> {
    const { status, output, errors } = await this.run(...command)
    if (status !== 0) throw new Error(`${command.join(' ')} (${status}): ${output}${errors}`)
    return output
  }

  /** Puts a file of ours there. */
  async bring(from: string, to: string): Promise<void> {
    await cp(from, join(this.root, to))
  }

  read(path: string): Promise<string> {
    return readFile(join(this.root, path), 'utf8')
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) this.#process.kill('SIGKILL')
    await this.#ended
    await rm(this.#folder, { recursive: true })
  }

  async #boot(hasSystemd: boolean): Promise<void> {
    await waitFor(async () => {
      if (this.#process.exitCode !== null) throw new Error('the machine of the test ended at once, see above')
      const [init] = childrenOf(this.#process.pid!)
      // Before that, begin.sh runs there.
      const program = init === undefined ? '' : await readFile(`/proc/${init}/comm`, 'utf8')
      if (!/^(systemd|sleep)\n$/.test(program)) return undefined
      const state = hasSystemd ? (await this.run('systemctl', 'is-system-running')).output.trim() : 'running'
      if (state === 'degraded') throw new Error((await this.run('systemctl', '--failed')).output)
      return state === 'running' ? true : undefined
    }, { clock: systemClock, what: 'the machine of the test', timeoutMs: BOOT_MS_MAX, pauseMs: 200 })
  }
}
