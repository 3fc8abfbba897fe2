import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'

const STDERR_CHARACTERS_MAX = 16 * 1024

/** A long-running process of the lab. It never outlives this process, however that ends. */
export interface LabProcess {
  readonly pid: number
  /** The end of its standard error. */
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
 * Starts `argv`, under `prefix` (a namespace). The kernel kills it when this process dies, so that even a killed test
 * run leaves no QEMU behind. All commands of the prefix exec the next one, so `pid` is the process itself; only nsenter
 * into a PID namespace stays outside: then `pid` is nsenter's.
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
    // If nsenter ended outside, the process inside would be killed. No other prefix has a relevant child.
    const [inside = this.pid] = this.#child.spawnfile === 'nsenter' ? childrenOf(this.pid) : []
    if (this.#running) process.kill(inside, 'SIGTERM')
    await this.ended
  }

  async kill(): Promise<void> {
    if (this.#running) this.#child.kill('SIGKILL')
    await this.ended
  }
}

/** The children of a process that it has not reaped. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter((word) => word !== '').map(Number)
  } catch {
    // The process has ended, and has no children.
    return []
  }
}
