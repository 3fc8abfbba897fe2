import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import type { SyntheticOptions } from '../../peers/synthetic.ts'
import type { AgentStatus, PopularPage } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { withTimeout } from '../../src/runtime/wait.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'peers', 'synthetic.ts')
const ANSWER_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000

export interface PeerStatus {
  status: AgentStatus
  cpuSeconds: number
  residentBytes: number
}

/** A process that runs synthetic-guest peers. */
export class PeerProcess {
  /** Names of its hosts. */
  readonly hosts: readonly string[]
  readonly #process: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string, undefined>
  #errors = ''
  /** The request that waits for its answer: one at a time. */
  #asking: Promise<unknown> = Promise.resolve()

  /** Starts a process with a host for each of `options`; resolves when all run. */
  static async start(options: readonly SyntheticOptions[], directory: string): Promise<PeerProcess> {
    const paths = options.map(({ agent }) => join(directory, `${agent.name}.json`))
    for (const [index, path] of paths.entries()) await writeFile(path, JSON.stringify(options[index]))
    const peers = new PeerProcess(options.map(({ agent }) => agent.name), spawn(process.execPath, [PROGRAM, ...paths]))
    try {
      for (const _ of options) await peers.#nextLine()
    } catch (error) {
      await peers.stop()
      throw error
    }
    return peers
  }

  private constructor(hosts: readonly string[], process: ChildProcessWithoutNullStreams) {
    this.hosts = hosts
    this.#process = process
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]()
    process.stderr.on('data', (bytes: Buffer) => { this.#errors = `${this.#errors}${bytes.toString()}`.slice(-2_000) })
    process.stdin.on('error', () => undefined)
  }

  async status(host: string): Promise<PeerStatus> {
    return await this.#ask(`${host} status`) as PeerStatus
  }

  async pages(host: string, countMax: number): Promise<PopularPage[]> {
    return (await this.#ask(`${host} pages ${countMax}`) as { pages: PopularPage[] }).pages
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    const timer = systemClock.after(STOP_TIMEOUT_MS, () => this.#process.kill('SIGKILL'))
    await exited
    timer.cancel()
  }

  #ask(request: string): Promise<unknown> {
    const asking = this.#asking.then(async () => {
      this.#process.stdin.write(`${request}\n`)
      return JSON.parse(await this.#nextLine()) as unknown
    })
    this.#asking = asking.catch(() => undefined)
    return asking
  }

  async #nextLine(): Promise<string> {
    const { value, done } = await withTimeout(systemClock, this.#lines.next(), ANSWER_TIMEOUT_MS, {
      phase: 'asking a peer', message: `${this.hosts.join(', ')}: no answer.`, fault: 'host',
    })
    if (done !== true) return value
    throw new Error(`${this.hosts.join(', ')} ended: ${this.#errors}`)
  }
}
