import { describeError, PagemeshError } from '../runtime/errors.ts'
import { printableJson } from '../text/json.ts'
import { escapeControls } from '../text/printable.ts'

/** Exit statuses of the commands. */
export const EXIT = { done: 0, failed: 1, usage: 2, cancelled: 130 } as const

export const EXIT_HELP = 'Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 130 cancelled.'

/** Prints an error with its advice on standard error and sets the exit status. */
export function fail(error: unknown): void {
  complain(describeError(error))
  process.exitCode = EXIT.failed
}

/** Prints a line on standard error, with control characters escaped: they could change the terminal. */
export function complain(text: string): void {
  process.stderr.write(`pagemesh: ${escapeControls(text)}\n`)
}

/** As `failAnswer`, for commands that read a configuration: a usage error there exits as wrong configuration. */
export function failConfigured(error: unknown, json = false): void {
  failAnswer(error, json)
  if (error instanceof PagemeshError && error.fault === 'usage') process.exitCode = EXIT.usage
}

/** As `fail`; with `--json` the error is also printed as JSON on standard output. */
export function failAnswer(error: unknown, json: boolean): void {
  fail(error)
  if (json) writeJson(errorObject(error))
}

/** What `--json` prints of an error. Pure. */
function errorObject(error: unknown): { error: { code: string; message: string; advice?: string } } {
  const known = error instanceof PagemeshError
  return {
    error: {
      code: known ? error.code : 'unexpected',
      message: error instanceof Error ? error.message : String(error),
      ...(known && error.advice !== undefined ? { advice: error.advice } : {}),
    },
  }
}

/** Ends the command at once where the user waits no longer; what it asked for goes on without it. */
export function stopWaiting(say: (text: string) => void, advice: string, about: object | undefined): never {
  const error = new PagemeshError('cancelled', 'Not waiting any longer.', { fault: 'cancelled', advice })
  say(`pagemesh: ${describeError(error)}`)
  if (about !== undefined) writeJson({ ...about, ...errorObject(error) })
  process.exit(EXIT.cancelled)
}

/** Prints the JSON object of `--json`. */
export function writeJson(value: unknown): void {
  process.stdout.write(`${printableJson(value)}\n`)
}
