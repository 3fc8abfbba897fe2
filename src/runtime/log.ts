import { pino } from 'pino'

import { escapeControls } from '../text/printable.ts'

/** Structured log: constant messages, all variable parts in `fields`, never the bytes of a page. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** The same log with `fields` added to every message. */
  with(fields: LogFields): Log
}

export type LogFields = Record<string, unknown>
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** A log that writes one JSON object a line to standard error, without any terminal control. */
export function createLog(level: LogLevel): Log {
  const stderr = pino.destination({ fd: 2, sync: true })
  // JSON does not escape the 8-bit controls and the marks of writing direction.
  const write = (line: string): void => { stderr.write(`${escapeControls(line.trimEnd())}\n`) }
  return wrap(pino({ level, base: null }, { write }))
}

export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLog,
}

function wrap(logger: ReturnType<typeof pino>): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    with: (fields) => wrap(logger.child(fields)),
  }
}
