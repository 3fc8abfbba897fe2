import { isErrorCode, type ErrorCode } from './errorcodes.ts'

export { ERROR_CODES, isErrorCode, type ErrorCode } from './errorcodes.ts'

/** Whose fault an error is: it decides who is told, and what they can do. */
export type Fault = 'usage' | 'guest' | 'peer' | 'network' | 'host' | 'cancelled'

export interface ErrorDetails {
  /** Whose fault it is. */
  fault: Fault
  /** The phase in which it happened, in the words of the README. */
  phase?: string
  /** What the reader can do next: a whole sentence. */
  advice?: string
  /** Facts beside the message, for `--json` and logs. */
  data?: Record<string, unknown>
  cause?: unknown
}

/**
 * Every error that Pagemesh throws at its users. `code` is stable and may be matched on;
 * the message is for people.
 */
export class PagemeshError extends Error {
  override readonly name = 'PagemeshError'
  readonly code: ErrorCode
  readonly fault: Fault
  readonly phase: string | undefined
  readonly advice: string | undefined
  readonly data: Record<string, unknown>

  constructor(code: ErrorCode, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.fault = details.fault
    this.phase = details.phase
    this.advice = details.advice
    this.data = details.data ?? {}
  }
}

/** One line for people: what happened and what to do next. */
export function describeError(error: unknown): string {
  if (error instanceof PagemeshError) {
    return error.advice === undefined ? error.message : `${error.message} ${error.advice}`
  }
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a Node system error such as ENOENT, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? code : undefined
}

/** Any thrown value as a PagemeshError; any other error is a fault of this host. */
export function asPagemeshError(error: unknown): PagemeshError {
  if (error instanceof PagemeshError) return error
  return new PagemeshError('unexpected', error instanceof Error ? error.message : String(error), {
    fault: 'host',
    cause: error,
    advice: 'See the log of the agent.',
  })
}

/** What another host refused something with: its code where this version knows it. */
export function refusalOf(
  { code, message }: { code: string; message: string }, details: Omit<ErrorDetails, 'data'>,
): PagemeshError {
  return isErrorCode(code)
    ? new PagemeshError(code, message, details)
    : new PagemeshError('refused-there', message, { ...details, data: { code } })
}
