import { reporters, Runner, type MochaOptions } from 'mocha'

/** Mocha's spec output, and one closing line for whoever reads only the end. */
export default class ClosingLine extends reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options)
    // The base class has asked for the same event before, so its summary comes first.
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {}
      console.log(`${passes} passed, ${failures} failed, ${pending} skipped`)
    })
  }
}
