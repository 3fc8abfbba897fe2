import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

import type { InterceptStatus } from '../../src/intercept/index.ts'
import { deferred, type Deferred } from '../../src/runtime/wait.ts'
import type { LabHost } from '../../testnet/index.ts'
import type { Request } from './interceptprocess.ts'

const SCRIPT = new URL('interceptprocess.ts', import.meta.url).pathname

/** A process on a host of the lab; see interceptprocess.ts. */
export class InterceptHost {
  readonly host: LabHost
  /** Resolves when its process has ended. */
  readonly gone: Promise<unknown>
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #answers = new Map<number, Deferred<unknown>>()
  #count = 0

  constructor(host: LabHost) {
    this.host = host
    const words = [...host.exec, 'setpriv', '--pdeathsig', 'KILL', process.execPath, SCRIPT]
    this.#child = spawn(words[0]!, words.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.gone = once(this.#child, 'exit')
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const { number, value } = JSON.parse(line) as { number: number; value: unknown }
      this.#answers.get(number)!.resolve(value)
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  async ask(request: Request): Promise<string> {
    return String(await this.#ask(request))
  }

  async status(): Promise<InterceptStatus> {
    return await this.#ask({ act: 'status' }) as InterceptStatus
  }

  /** Connects, and returns who is there and which address it sees. */
  async dial(id: number, host: string, port: number): Promise<string> {
    return await this.ask({ act: 'dial', id, host, port })
  }

  async say(id: number, text: string): Promise<string> {
    return await this.ask({ act: 'say', id, text })
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal)
  }

  async #ask(request: Request): Promise<unknown> {
    const number = this.#count++
    const answer = deferred<unknown>()
    this.#answers.set(number, answer)
    this.#child.stdin.write(`${JSON.stringify({ ...request, number })}\n`)
    return await answer.promise
  }
}
