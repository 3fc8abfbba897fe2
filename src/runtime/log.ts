import { pino } from 'pino'

import { escapeControls } from '../text/printable.ts'
import { writeOrDrop } from './standarderror.ts'

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

/**
 * A log that writes one JSON object a line to standard error, without any terminal control. It never throws and, unless
 * a terminal is stopped, never waits: lines that standard error does not take are dropped, and their number is logged.
 */
export function createLog(level: LogLevel): Log {
  let droppedCount = 0
  const write = (line: string): void => {
    if (droppedCount > 0 && writeOrDrop(safeLine(lineOfDropped(droppedCount)))) droppedCount = 0
    // A line after dropped ones comes only after their number.
    if (droppedCount > 0 || !writeOrDrop(safeLine(line))) droppedCount += 1
  }
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

/** JSON does not escape the 8-bit controls and the marks of writing direction. */
function safeLine(line: string): string {
  return `${escapeControls(line.trimEnd())}\n`
}

function lineOfDropped(lines: number): string {
  let written = ''
  pino({ base: null }, { write: (line) => { written = line } }).warn({ lines }, 'lines of this log were dropped')
  return written
}
