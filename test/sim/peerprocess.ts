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

/** A synthetic-guest peer in a process of its own. */
export class PeerProcess {
  readonly name: string
  readonly #process: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #errors = ''

  /** Starts one; resolves when it runs. */
  static async start(options: SyntheticOptions, directory: string): Promise<PeerProcess> {
    const path = join(directory, `${options.agent.name}.json`)
    await writeFile(path, JSON.stringify(options))
    const peer = new PeerProcess(options.agent.name, spawn(process.execPath, [PROGRAM, path]))
    try {
      await peer.#nextLine()
    } catch (error) {
      await peer.stop()
      throw error
    }
    return peer
  }

  private constructor(name: string, process: ChildProcessWithoutNullStreams) {
    this.name = name
    this.#process = process
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]()
    process.stderr.on('data', (bytes: Buffer) => { this.#errors = `${this.#errors}${bytes.toString()}`.slice(-2_000) })
    process.stdin.on('error', () => undefined)
  }

  async status(): Promise<PeerStatus> {
    return await this.#ask('status') as PeerStatus
  }

  async pages(countMax: number): Promise<PopularPage[]> {
    return (await this.#ask(`pages ${countMax}`) as { pages: PopularPage[] }).pages
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    const timer = systemClock.after(STOP_TIMEOUT_MS, () => this.#process.kill('SIGKILL'))
    await exited
    timer.cancel()
  }

  async #ask(request: string): Promise<unknown> {
    this.#process.stdin.write(`${request}\n`)
    return JSON.parse(await this.#nextLine())
  }

  async #nextLine(): Promise<string> {
    const { value, done } = await withTimeout(systemClock, this.#lines.next(), ANSWER_TIMEOUT_MS, {
      phase: 'asking a peer', message: `${this.name} does not answer.`, fault: 'host',
    })
    if (done !== true) return value
    throw new Error(`${this.name} ended: ${this.#errors}`)
  }
}
