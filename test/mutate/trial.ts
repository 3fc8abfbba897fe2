/**
 * Runs tests in its own process, in its own copy of the tree, and sends its parent the result. With `coverage` also the
 * code that each test ran, as V8 counts it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs'
import { Session, type Profiler } from 'node:inspector'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import fc from 'fast-check'
import Mocha from 'mocha'

export interface TrialRequest {
  /** Test files, in the order of their runs; paths from the root of the copy. */
  files: readonly string[]
  /** Full titles of the tests to run; without it all. */
  titles?: readonly string[]
  /** Seed of property tests, so that a run can be repeated. */
  seed: number
  coverage: boolean
}

export interface TrialResult {
  /** The first failure, if any. */
  failure?: string
  tests: TestRecord[]
  /** Code that ran outside of tests: at module load, and in the hooks of suites. */
  outside: CodeRun[]
}

export interface TestRecord {
  title: string
  durationMs: number
  ran: CodeRun[]
}

/** A stretch of a source file that ran, or one inside it that did not. */
export interface CodeRun {
  file: string
  start: number
  end: number
  isRun: boolean
}

/** Test timeouts are meant for an idle machine: here the parent ends the trial in time. */
const TIMEOUT_MS = 120_000

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

process.once('message', (request: TrialRequest) => {
  // The parent waits for the message, and ends this process if none comes.
  void runTrial(request).catch((error: unknown) => ({ failure: String(error), tests: [], outside: [] }))
    .then((result) => process.send!(result, () => process.exit(0)))
})

async function runTrial({ files, titles, seed, coverage }: TrialRequest): Promise<TrialResult> {
  // One failure is enough: shrinking it would only take time.
  fc.configureGlobal({ seed, endOnFailure: true })
  const mocha = new Mocha({ bail: true, reporter: Mocha.reporters.Base, timeout: TIMEOUT_MS })
  const meter = coverage ? new CoverageMeter() : undefined
  const result: TrialResult = { tests: [], outside: [] }
  for (const file of files) mocha.addFile(file)
  await mocha.loadFilesAsync()
  mocha.suite.eachTest((test) => { test.timeout(TIMEOUT_MS) })
  if (titles !== undefined) mocha.grep(new RegExp(`^(?:${titles.map(escape).join('|')})$`))
  mocha.suite.beforeEach(() => { result.outside.push(...meter?.take() ?? []) })
  mocha.suite.afterEach(function () {
    const test = this.currentTest!
    result.tests.push({ title: test.fullTitle(), durationMs: test.duration ?? 0, ran: meter?.take() ?? [] })
  })
  const runner = mocha.run()
  runner.on('fail', (test: Mocha.Test, error: unknown) => {
    result.failure ??= `${test.fullTitle()}: ${error instanceof Error ? error.message : String(error)}`
  })
  await new Promise<void>((resolve) => runner.once('end', () => resolve()))
  result.outside.push(...meter?.take() ?? [])
  meter?.close()
  return result
}

function escape(title: string): string {
  return title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** The code of src that ran since the last call, here and in ended processes and threads of tests. */
class CoverageMeter {
  readonly #session = new Session()
  /** Directory to which Node writes the coverage of other processes when they end. */
  readonly #directory = mkdtempSync(join(tmpdir(), 'pagemesh-coverage-'))

  constructor() {
    process.env.NODE_V8_COVERAGE = this.#directory
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }

  take(): CodeRun[] {
    let scripts: Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (_error, { result }) => { scripts = result })
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name)
      scripts.push(...(JSON.parse(readFileSync(path, 'utf8')) as { result: Profiler.ScriptCoverage[] }).result)
      unlinkSync(path)
    }
    return scripts.filter(({ url }) => url.startsWith('file:')).flatMap(({ url, functions }) => {
      const path = fileURLToPath(url)
      if (!path.startsWith(`${ROOT}src/`)) return []
      const file = path.slice(ROOT.length)
      return functions.flatMap(({ ranges }) => ranges
        .map(({ startOffset, endOffset, count }) => ({ file, start: startOffset, end: endOffset, isRun: count > 0 })))
    })
  }
}
