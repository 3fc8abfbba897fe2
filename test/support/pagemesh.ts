import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** Starting Node takes far longer than a command's work when the machine has other things to do. */
export const COMMAND_MS_MAX = 60_000

export interface Finished {
  status: number | null
  stdout: string
  stderr: string
}

/** The command as a child process; its standard streams are pipes, so it sees no terminal. */
export class RunningCommand {
  readonly process: ChildProcess
  readonly finished: Promise<Finished>
  #stdout = ''
  #stderr = ''

  constructor(args: readonly string[]) {
    this.process = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => { this.#stdout += text })
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => { this.#stderr += text })
    this.finished = once(this.process, 'close').then(([status]) => ({
      status: status as number | null, stdout: this.#stdout, stderr: this.#stderr,
    }))
  }

  /** What of standard error matches, once something does. */
  async saidOnStderr(pattern: RegExp): Promise<RegExpExecArray> {
    await this.saysOnStderr(pattern)
    return pattern.exec(this.#stderr)!
  }

  /** Resolves once standard error holds `pattern`; rejects if the command ends without it. */
  async saysOnStderr(pattern: RegExp): Promise<void> {
    await this.#untilMore('stderr', () => pattern.test(this.#stderr))
  }

  /** Resolves once standard output has so many whole lines; rejects if the command ends without them. */
  async saysLines(count: number): Promise<void> {
    await this.#untilMore('stdout', () => this.#stdout.split('\n').length > count)
  }

  async #untilMore(stream: 'stdout' | 'stderr', isEnough: () => boolean): Promise<void> {
    const ended = this.finished.then(({ stderr }) => { throw new Error(`it ended with: ${stderr}`) })
    ended.catch(() => undefined)
    while (!isEnough()) await Promise.race([once(this.process[stream]!, 'data'), ended])
  }
}

export function pagemesh(...args: string[]): Promise<Finished> {
  return new RunningCommand(args).finished
}
