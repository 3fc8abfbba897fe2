import { asPagemeshError, PagemeshError, systemErrorCode, type ErrorCode, type Fault } from '../../runtime/errors.ts'

/** An error, encoded for a message between threads. */
export interface ErrorData {
  code: ErrorCode
  message: string
  fault: Fault
  phase: string | undefined
  advice: string | undefined
  /** JSON. */
  data: string
  cause: { message: string; code: string | undefined } | undefined
}

export function errorData(thrown: unknown): ErrorData {
  const { code, message, fault, phase, advice, data, cause } = asPagemeshError(thrown)
  return {
    code, message, fault, phase, advice, data: JSON.stringify(data),
    cause: cause === undefined
      ? undefined : { message: cause instanceof Error ? cause.message : String(cause), code: systemErrorCode(cause) },
  }
}

export function errorOfData({ code, message, fault, phase, advice, data, cause }: ErrorData): PagemeshError {
  return new PagemeshError(code, message, {
    fault,
    ...(phase === undefined ? {} : { phase }),
    ...(advice === undefined ? {} : { advice }),
    data: JSON.parse(data) as Record<string, unknown>,
    ...(cause === undefined ? {} : { cause: Object.assign(new Error(cause.message), { code: cause.code }) }),
  })
}
