import type { ServerResponse } from 'node:http'

import type { Clock, Log } from '../../index.ts'
import { describeError } from '../../runtime/errors.ts'
import type { Section } from './sections.ts'

/** Browsers that are kept up to date at once; the status server has room for others beside them. */
export const LIVE_MAX = 16
const DRAW_MS = 1000
/** After this time without a change a browser is sent a comment, which shows that the agent is alive. */
const HEARTBEAT_MS = 5000

interface Reader {
  response: ServerResponse
  /** What it was last sent of each section. */
  sent: Map<string, string>
  /** When it was last sent anything, ms of the clock. */
  at: number
}

/**
 * Sends browsers the sections of the page that have changed, as server-sent events (HTML Living Standard, 9.2):
 *
 *   event: section
 *   data: {"id": ..., "text": ...}      JSON, so that no line of a section ends the event
 *
 * Nothing is drawn while no browser is connected. A browser that reads slowly misses what changes meanwhile, and gets
 * the newest once it has read what it was sent. The status server closes a connection on which nothing is read.
 */
export class LiveSections {
  readonly #clock: Clock
  readonly #log: Log
  readonly #draw: () => Promise<Section[]>
  readonly #readers = new Set<Reader>()
  #ticking: { cancel(): void } | undefined
  #isDrawing = false

  constructor(components: { clock: Clock; log: Log }, init: { draw: () => Promise<Section[]> }) {
    this.#clock = components.clock
    this.#log = components.log
    this.#draw = init.draw
  }

  /** Browsers that are kept up to date. */
  get count(): number {
    return this.#readers.size
  }

  /** Keeps a browser up to date until it hangs up. The head of the response is sent already. */
  add(response: ServerResponse): void {
    const reader = { response, sent: new Map<string, string>(), at: this.#clock.now() }
    this.#readers.add(reader)
    // Sent at once, so that the browser knows that it is connected.
    response.write(': connected\n\n')
    response.once('close', () => {
      this.#readers.delete(reader)
      if (this.#readers.size === 0) this.#rest()
    })
    this.#ticking ??= this.#clock.every(DRAW_MS, () => this.#tick())
    this.#tick()
  }

  /** Ends all of it. */
  stop(): void {
    this.#rest()
    for (const { response } of this.#readers) response.end()
  }

  #rest(): void {
    this.#ticking?.cancel()
    this.#ticking = undefined
  }

  #tick(): void {
    const now = this.#clock.now()
    for (const reader of this.#readers) {
      if (now - reader.at >= HEARTBEAT_MS) this.#write(reader, ': alive\n\n')
    }
    // A member that does not answer delays a drawing by some seconds: none is begun meanwhile.
    if (this.#isDrawing) return
    this.#isDrawing = true
    this.#draw().then((sections) => this.#send(sections), (error: unknown) => {
      this.#log.debug('the live page could not be drawn', { error: describeError(error) })
    }).finally(() => { this.#isDrawing = false })
  }

  #send(sections: readonly Section[]): void {
    const texts = sections.map(({ id, body: { text } }) => ({ id, text }))
    for (const reader of this.#readers) {
      for (const { id, text } of texts) {
        if (reader.sent.get(id) === text) continue
        if (!this.#write(reader, `event: section\ndata: ${JSON.stringify({ id, text })}\n\n`)) break
        reader.sent.set(id, text)
      }
    }
  }

  /** False, and nothing written, where it has not yet read what it was sent. */
  #write(reader: Reader, text: string): boolean {
    if (reader.response.writableNeedDrain || reader.response.destroyed) return false
    reader.response.write(text)
    reader.at = this.#clock.now()
    return true
  }
}
