import type { QmpEvent } from '../../../src/guest/qmp.ts'
import { qmpError } from '../../../src/guest/qmperror.ts'
import type { QmpSession } from '../../../src/guest/qmpsession.ts'
import type { PagemeshError } from '../../../src/runtime/errors.ts'
import { deferred } from '../../../src/runtime/wait.ts'

export type Said = [command: string, args: Record<string, unknown>]

/** A QMP session without a socket, for tests on virtual time. */
export class ScriptedQmp implements QmpSession {
  version = { major: 7, minor: 2, micro: 22 }
  readonly #gone = deferred<Error>()
  readonly gone = this.#gone.promise
  /** All that was said, in order. */
  readonly said: Said[] = []
  /** How long each might take to be answered, where that was said. */
  readonly limitsMs: (number | undefined)[] = []
  readonly #reopenListeners: (() => void)[] = []
  readonly #listeners: ((event: QmpEvent) => void)[] = []
  /** What is answered to a command; what it throws is thrown. Without an answer it is an empty object. */
  readonly answers: Record<string, (args: Record<string, unknown>) => unknown>

  constructor(answers: Record<string, (args: Record<string, unknown>) => unknown> = {}) {
    this.answers = { ...answers }
  }

  /** What was said that changes anything. */
  get changes(): Said[] {
    return this.said.filter(([command]) => !command.startsWith('query-'))
  }

  async execute(command: string, args: Record<string, unknown> = {}, timeoutMs?: number): Promise<unknown> {
    this.said.push([command, args])
    this.limitsMs.push(timeoutMs)
    return await this.answers[command]?.(args) ?? {}
  }

  executeOutOfBand(command: string, args: Record<string, unknown>): Promise<unknown> {
    return this.execute(command, args)
  }

  async passDescriptor(name: string): Promise<void> {
    await this.execute('getfd', { fdname: name })
  }

  async hmp(commandLine: string): Promise<string> {
    return String(await this.execute('human-monitor-command', { 'command-line': commandLine }))
  }

  onEvent(listener: (event: QmpEvent) => void): void {
    this.#listeners.push(listener)
  }

  event(name: string, data: Record<string, unknown>): void {
    for (const listener of this.#listeners) listener({ name, data })
  }

  /** Its process ends. */
  end(): void {
    this.#gone.resolve(new Error('the process has ended'))
  }

  onReopened(listener: () => void): void {
    this.#reopenListeners.push(listener)
  }

  /** The connection was lost, and is there again. */
  reopen(): void {
    for (const listener of this.#reopenListeners) listener()
  }

  async close(): Promise<void> {}
}

/** What QEMU's refusal becomes. */
export function refusal(command: string, words = 'no'): PagemeshError {
  return qmpError('/nowhere', command, 'GenericError', words)
}
