import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

import type { Clock } from '../runtime/clock.ts'
import { deferred, waitAtMost, withTimeout, type Deferred } from '../runtime/wait.ts'
import { NFT_ENVIRONMENT } from './nft.ts'
import { explainNft, fillTables, LIST_TABLE, readTable, type TableContent } from './program.ts'

const ANSWER_MS_MAX = 5_000
const END_MS_MAX = 2_000
/** Limit of nft's output, far above the longest list. */
const SAID_CHARACTERS_MAX = 1024 * 1024

export interface OwnedTableInit {
  /** Path of the program. */
  nft: string
  /** nft input that creates the table. */
  create: string
  /**
   * Descriptors of the listeners that the table redirects to. nft holds them as well: even if the agent is killed, no
   * other process can listen there while the table exists.
   */
  listenerFds: readonly number[]
}

/**
 * The table, and the nft process that owns it: no other process can change the table, and the kernel removes it when
 * nft ends. nft ends with its input, 10 to 40 ms after the agent, however the agent ends. A connection made within this
 * time is reset.
 */
export class OwnedTable {
  readonly #clock: Clock
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #gone = deferred<string>()
  /** Resolves with the reason, a sentence, when the table is gone. Never rejects. */
  readonly gone = this.#gone.promise
  #listed = ''
  #complaints = ''
  #waiting: { deferred: Deferred<string[]>; isDone: (addresses: readonly string[]) => boolean } | undefined

  private constructor(components: { clock: Clock }, { nft, listenerFds }: OwnedTableInit) {
    this.#clock = components.clock
    // In its own session: Ctrl-C must reach the agent only, which stops things in order.
    this.#child = spawn(nft, ['--interactive'], {
      stdio: ['pipe', 'pipe', 'pipe', ...listenerFds], env: NFT_ENVIRONMENT, cwd: '/', detached: true,
    }) as ChildProcessByStdio<Writable, Readable, Readable>
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-SAID_CHARACTERS_MAX)
    })
    // If the process has ended, `close` reports it.
    this.#child.stdin.on('error', () => {})
    this.#child.on('error', (error) => this.#end(error.message))
    this.#child.on('close', (code, signal) => this.#end(`nft ended (${signal ?? code})`))
  }

  /** Creates the table with `content`. Throws an Error whose message is a sentence. */
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

  /** Sets the content; resolves when the kernel has it. One call at a time. Throws an Error with a sentence. */
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

  /** Removes the table; resolves when it is gone. */
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
    else this.#waiting.deferred.reject(new Error('the table does not have the wanted content'))
  }

  #end(why: string): void {
    this.#gone.resolve(why)
    this.#waiting?.deferred.reject(new Error(why))
  }
}
