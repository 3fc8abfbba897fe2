import { reporters, Runner, type Hook, type MochaOptions, type Runnable, type Test } from 'mocha'

import { CLOSING_MS_MAX } from './lingering.ts'
import { slowestFiles } from './slowest.ts'

const FILES_SHOWN = 8

/**
 * Mocha's spec output, the slowest files, and one closing line for readers of the end. A process that a forgotten
 * server or timer keeps alive is ended as a failure that names it: otherwise the run would never end.
 */
export default class ClosingLine extends reporters.Spec {
  /** Time of each file's tests and hooks, ms. */
  readonly #spent = new Map<string, number>()

  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options)
    const { EVENT_HOOK_END, EVENT_RUN_END, EVENT_TEST_END, EVENT_TEST_FAIL } = Runner.constants
    runner.on(EVENT_TEST_END, (test: Test) => this.#add(test))
    runner.on(EVENT_HOOK_END, (hook: Hook) => this.#add(hook))
    // A failed hook has no end event.
    runner.on(EVENT_TEST_FAIL, (failed: Test | Hook) => { if (failed.type === 'hook') this.#add(failed) })
    // The base class listens to the same event first, so its summary comes first.
    runner.once(EVENT_RUN_END, () => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {}
      for (const line of slowestFiles(this.#spent, FILES_SHOWN)) console.log(line)
      console.log(`${passes} passed, ${failures} failed, ${pending} skipped`)
      setTimeout(() => {
        const resources = process.getActiveResourcesInfo().join(', ')
        console.error(`The tests ended, but these keep the process alive: ${resources}`)
        // Mocha sets the status as the process exits, from the tests alone: this comes after it.
        process.once('exit', () => { process.exitCode = 1 })
        process.exit()
      }, CLOSING_MS_MAX).unref()
    })
  }

  #add({ file, duration }: Runnable): void {
    if (file !== undefined) this.#spent.set(file, (this.#spent.get(file) ?? 0) + (duration ?? 0))
  }
}
