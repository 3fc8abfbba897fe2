import { reporters, Runner, type MochaOptions } from 'mocha'

/** How long a process may live on after its last test, which closed what it opened. */
const LINGERING_MS_MAX = 20_000

/**
 * Mocha's spec output, and one closing line for whoever reads only the end. A process that a forgotten server or timer
 * keeps alive is ended as a failure that names it: otherwise the run would never end.
 */
export default class ClosingLine extends reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options)
    // The base class has asked for the same event before, so its summary comes first.
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {}
      console.log(`${passes} passed, ${failures} failed, ${pending} skipped`)
      setTimeout(() => {
        const resources = process.getActiveResourcesInfo().join(', ')
        console.error(`The tests ended, but these keep the process alive: ${resources}`)
        process.exit(1)
      }, LINGERING_MS_MAX).unref()
    })
  }
}
