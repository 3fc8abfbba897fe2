import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

import type { Clock } from '../runtime/clock.ts'
import { deferred, waitAtMost, withTimeout, type Deferred } from '../runtime/wait.ts'
import { NFT_ENVIRONMENT } from './nft.ts'
import { explainNft, fillTables, LIST_TABLE, readTable, type TableContent } from './program.ts'

const ANSWER_MS_MAX = 5_000
const END_MS_MAX = 2_000
/** Far more than the longest list. What says more is no nft. */
const SAID_CHARACTERS_MAX = 1024 * 1024

export interface OwnedTableInit {
  /** Path of the program. */
  nft: string
  /** Makes the table. */
  create: string
  /**
   * Descriptors of the listeners that the table leads to. nft holds them as well, so that nobody else can listen
   * there for as long as there is the table, even if the agent is killed.
   */
  listenerFds: readonly number[]
}

/**
 * The table, and the process of nft that owns it: nobody else can change it, and the kernel removes it when that
 * process ends. It ends when its input does: with the agent, however the agent ends, and 10 to 40 ms after it. A
 * connection that comes within these is reset.
 */
export class OwnedTable {
  readonly #clock: Clock
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #gone = deferred<string>()
  /** Resolves, with the reason as a sentence, when the table is no more. Never rejects. */
  readonly gone = this.#gone.promise
  #listed = ''
  #complaints = ''
  #waiting: { deferred: Deferred<string[]>; isDone: (addresses: readonly string[]) => boolean } | undefined

  private constructor(components: { clock: Clock }, { nft, listenerFds }: OwnedTableInit) {
    this.#clock = components.clock
    // In a session of its own: Ctrl-C is for the agent, which ends things in their order.
    this.#child = spawn(nft, ['--interactive'], {
      stdio: ['pipe', 'pipe', 'pipe', ...listenerFds], env: NFT_ENVIRONMENT, cwd: '/', detached: true,
    }) as ChildProcessByStdio<Writable, Readable, Readable>
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-SAID_CHARACTERS_MAX)
    })
    // Where the process has ended, `close` says so.
    this.#child.stdin.on('error', () => {})
    this.#child.on('error', (error) => this.#end(error.message))
    this.#child.on('close', (code, signal) => this.#end(`nft ended (${signal ?? code})`))
  }

  /** Makes the table and puts `content` into it. Throws an Error whose message is a sentence. */
  static async open(components: { clock: Clock }, init: OwnedTableInit, content: TableContent): Promise<OwnedTable> {
    const table = new OwnedTable(components, init)
    try {
      table.#tell(init.create)
      await table.fill(content)
      return table
    } catch (error) {
      await table.close()
      throw error
    }
  }

  /** Resolves when the kernel has it so. One at a time. Throws an Error whose message is a sentence. */
  async fill(content: TableContent): Promise<void> {
    const wanted = [...content.addresses].sort().join()
    const waiting = { deferred: deferred<string[]>(), isDone: (listed: readonly string[]) => listed.join() === wanted }
    this.#waiting = waiting
    this.#listed = ''
    this.#complaints = ''
    this.#tell(fillTables(content))
    this.#tell(LIST_TABLE)
    try {
      const about = { phase: 'interception', message: 'nft does not answer', fault: 'host' } as const
      await withTimeout(this.#clock, waiting.deferred.promise, ANSWER_MS_MAX, about)
    } catch (error) {
      throw new Error(this.#complaints === '' ? String((error as Error).message) : explainNft(this.#complaints),
        { cause: error })
    } finally {
      this.#waiting = undefined
    }
  }

  /** Takes the table away, and resolves when it has gone. */
  async close(): Promise<void> {
    this.#child.stdin.end()
    await waitAtMost(this.#clock, this.gone, END_MS_MAX)
    this.#child.kill('SIGKILL')
    await this.gone
  }

  #tell(line: string): void {
    this.#child.stdin.write(`${line}\n`)
  }

  #hear(text: string): void {
    this.#listed += text
    if (this.#listed.length > SAID_CHARACTERS_MAX) {
      this.#child.stdout.destroy()
      this.#child.kill('SIGKILL')
      return
    }
    const addresses = readTable(this.#listed)
    if (addresses === undefined || this.#waiting === undefined) return
    if (this.#waiting.isDone(addresses)) this.#waiting.deferred.resolve(addresses)
    else this.#waiting.deferred.reject(new Error('the table does not hold what it was told'))
  }

  #end(why: string): void {
    this.#gone.resolve(why)
    this.#waiting?.deferred.reject(new Error(why))
  }
}
