import type { Socket } from 'node:net'

import { LineCutter } from '../../bytes/linecutter.ts'
import { asPagemeshError, PagemeshError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { RequestHandler } from './commands.ts'
import {
  badRequest, CONTROL_LIMITS, encodeAnswer, errorAnswer, type ControlAnswer, type ControlRequest,
} from './protocol.ts'
import { decodeRequest } from './requests.ts'

/** The agent's end of one connection, with the states of `protocol.ts`: idle, working, closed. */
export class ControlSession {
  readonly #socket: Socket
  readonly #handle: RequestHandler
  readonly #log: Log
  readonly #lines = new LineCutter(CONTROL_LIMITS.requestBytesMax)
  readonly #gone = new AbortController()
  /** The request under way; absent when idle. */
  #working: { abort: AbortController; done: Promise<void> } | undefined

  constructor(components: { socket: Socket; handle: RequestHandler; log: Log }) {
    this.#socket = components.socket
    this.#handle = components.handle
    this.#log = components.log
    // Not an error: a client may hang up, and its handoff goes on.
    this.#socket.on('error', () => undefined)
    this.#socket.once('close', () => this.#gone.abort())
    this.#socket.on('data', (bytes) => this.#onBytes(bytes))
  }

  /** Waits for the running request's answer, then hangs up. */
  async close(): Promise<void> {
    await this.#working?.done
    if (this.#socket.destroyed) return
    await new Promise<void>((resolve) => this.#socket.once('close', resolve).end(() => this.#socket.destroy()))
  }

  /** Hangs up at once. */
  destroy(): void {
    this.#socket.destroy()
  }

  #onBytes(bytes: Buffer): void {
    const lines = this.#lines.push(bytes)
    if (lines === 'too-long') {
      this.#hangUp(badRequest(`A request is no longer than ${CONTROL_LIMITS.requestBytesMax} bytes.`))
      return
    }
    for (const line of lines) {
      if (!this.#socket.writable) return
      try {
        this.#onRequest(decodeRequest(line))
      } catch (error) {
        this.#hangUp(asPagemeshError(error))
      }
    }
  }

  #onRequest(request: ControlRequest): void {
    if (request.command === 'cancel' && request.arguments.guest === undefined) {
      // Not an error if nothing runs: the answer may have crossed the cancel.
      this.#working?.abort.abort()
      return
    }
    if (this.#working !== undefined) {
      throw new PagemeshError('busy', 'One request at a time on one connection.', {
        fault: 'usage', advice: 'Wait for the answer, or open another connection.',
      })
    }
    const abort = new AbortController()
    this.#working = { abort, done: this.#work(request, abort.signal) }
  }

  async #work(request: ControlRequest, signal: AbortSignal): Promise<void> {
    let answer: ControlAnswer
    try {
      const onProgress = (progress: Extract<ControlAnswer, { progress: unknown }>['progress']): void => {
        if (this.#socket.writableLength < CONTROL_LIMITS.unreadBytesMax) this.#send({ progress })
      }
      answer = { result: await this.#handle(request, { signal, gone: this.#gone.signal, onProgress }) }
    } catch (thrown) {
      const error = asPagemeshError(thrown)
      this.#log.warn('request failed', { command: request.command, code: error.code, error: error.message })
      answer = errorAnswer(error)
    }
    this.#working = undefined
    this.#send(answer)
  }

  #hangUp(error: PagemeshError): void {
    this.#send(errorAnswer(error))
    this.#socket.end()
    // Discards further input, so that it does not pile up.
    this.#socket.removeAllListeners('data').resume()
  }

  #send(answer: ControlAnswer): void {
    if (this.#socket.writable) this.#socket.write(encodeAnswer(answer))
  }
}
