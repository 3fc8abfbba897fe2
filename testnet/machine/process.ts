import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'

const STDERR_CHARACTERS_MAX = 16 * 1024

/** A long-running process of the lab. It never outlives this one, however this one ends. */
export interface LabProcess {
  readonly pid: number
  /** What it said on standard error, the end of it. */
  readonly errors: string
  readonly running: boolean
  /** Resolves when it has ended and was reaped. Never rejects. */
  readonly ended: Promise<void>
  /** Asks it to end (SIGTERM), and waits for that; idempotent. */
  terminate(): Promise<void>
  /** Kills it and waits for its end; idempotent. */
  kill(): Promise<void>
}

/**
 * Starts `argv`, under `prefix` (a namespace). The kernel kills it when this process dies, so that not even a test run
 * that is killed leaves a QEMU behind; all words of the prefix replace themselves, so `pid` is the process itself. Only
 * who enters a namespace of processes stays outside: `pid` is then the one that waits there.
 */
export function startProcess(prefix: readonly string[], argv: readonly string[]): LabProcess {
  const words = [...prefix, 'setpriv', '--pdeathsig', 'KILL', ...argv]
  return new RunningProcess(spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] }))
}

class RunningProcess implements LabProcess {
  readonly pid: number
  readonly ended: Promise<void>
  readonly #child: ChildProcess
  #errors = ''
  #running = true

  constructor(child: ChildProcess) {
    this.#child = child
    this.pid = child.pid ?? 0
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#errors = (this.#errors + bytes.toString()).slice(-STDERR_CHARACTERS_MAX)
    })
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#running = false
        resolve()
      }
      child.once('error', (error) => {
        this.#errors += error.message
        if (child.pid === undefined) end()
      })
      child.once('close', end)
    })
  }

  get errors(): string {
    return this.#errors.trim()
  }

  get running(): boolean {
    return this.#running
  }

  async terminate(): Promise<void> {
    // If what waits outside of a namespace ended, the process itself would be killed. No other has a child that counts.
    const [inside = this.pid] = this.#child.spawnfile === 'nsenter' ? childrenOf(this.pid) : []
    if (this.#running) process.kill(inside, 'SIGTERM')
    await this.ended
  }

  async kill(): Promise<void> {
    if (this.#running) this.#child.kill('SIGKILL')
    await this.ended
  }
}

/** The processes that a process started and has not reaped. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter((word) => word !== '').map(Number)
  } catch {
    // One that has ended has none.
    return []
  }
}
