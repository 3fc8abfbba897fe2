import { fork } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { withFault, type Fault } from './fault.ts'
import { ROOT } from './sources.ts'
import type { TrialRequest, TrialResult } from './trial.ts'

const COPIED = ['src', 'test', 'peers', 'testnet', 'package.json', 'tsconfig.json', 'README.md']

/** Optimised code does not count its calls: code often called in one test would not show in the next. */
const COUNTING = ['--no-opt', '--no-maglev']

/** A copy of the tree for faults, one after the other. The original tree is never touched. */
export class Workplace {
  readonly #directory: string
  readonly #signal: AbortSignal

  /** @param directory for the copy. @param signal ends the running process. */
  constructor(directory: string, signal: AbortSignal) {
    this.#directory = directory
    this.#signal = signal
    mkdirSync(directory, { recursive: true })
    for (const name of COPIED) cpSync(join(ROOT, name), join(directory, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  }

  /** Resolves to the result of the tests with the fault; `timed-out` if they had to be ended. */
  async tryFault(fault: Fault, request: TrialRequest, limitMs: number): Promise<TrialResult | 'timed-out'> {
    const path = join(this.#directory, fault.file)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, withFault(text, fault))
    try {
      return await this.runTests(request, limitMs)
    } finally {
      writeFileSync(path, text)
    }
  }

  /** Runs tests in their own process, which is ended after `limitMs`. */
  runTests(request: TrialRequest, limitMs: number): Promise<TrialResult | 'timed-out'> {
    const child = fork(join(this.#directory, 'test/mutate/trial.ts'), {
      cwd: this.#directory,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: request.coverage ? COUNTING : [],
      env: { ...process.env, NODE_COMPILE_CACHE: join(this.#directory, '../compiled') },
    })
    const end = (): boolean => child.kill('SIGKILL')
    this.#signal.addEventListener('abort', end, { once: true })
    const timer = setTimeout(end, limitMs)
    let result: TrialResult | undefined
    child.on('message', (message) => { result = message as TrialResult })
    child.send(request)
    return new Promise((resolve, reject) => {
      child.once('exit', (code, signal) => {
        clearTimeout(timer)
        this.#signal.removeEventListener('abort', end)
        if (this.#signal.aborted) reject(this.#signal.reason as Error)
        else if (result !== undefined) resolve(result)
        else if (signal === 'SIGKILL') resolve('timed-out')
        else resolve({ failure: `the tests' process ended with ${signal ?? code}`, tests: [], outside: [] })
      })
    })
  }
}
