/** Standard error as a place for lines that must not stop the process, whatever takes them: a disk, a pipe, nothing. */
import { fstatSync, writeSync } from 'node:fs'

const DESCRIPTOR = 2
/** Most bytes that wait for who reads a pipe; further lines are dropped. */
const WAITING_BYTES_MAX = 1024 * 1024

/** The lines of all logs of this process go to one standard error. */
let chosen: ((line: string) => boolean) | undefined

/** Writes a line, with its end, to standard error at once or as soon as its reader goes on. False: it was dropped. */
export function writeOrDrop(line: string): boolean {
  chosen ??= hasReader() ? toStream() : toFile()
  return chosen(line)
}

function hasReader(): boolean {
  try {
    const file = fstatSync(DESCRIPTOR)
    return file.isFIFO() || file.isSocket()
  } catch {
    // Standard error is closed: writing says so each time.
    return false
  }
}

/** Node writes to a pipe or a socket without waiting, and keeps what does not fit. */
function toStream(): (line: string) => boolean {
  const { stderr } = process
  // Its reader has gone: the stream is destroyed, which is looked at before each line.
  stderr.on('error', () => undefined)
  return (line) => {
    if (stderr.destroyed || stderr.writableLength + Buffer.byteLength(line) > WAITING_BYTES_MAX) return false
    stderr.write(line)
    return true
  }
}

/** A file or a terminal. After an error, such as of a full disk, the next line tries again. */
function toFile(): (line: string) => boolean {
  /** The last line was cut off in the middle. */
  let isTorn = false
  return (line) => {
    let rest = Buffer.from(isTorn ? `\n${line}` : line)
    try {
      while (rest.length > 0) {
        const count = writeSync(DESCRIPTOR, rest)
        rest = rest.subarray(count)
        isTorn = rest.length > 0
      }
      return true
    } catch {
      // Nobody can be told but the log itself, which counts what it drops.
      return false
    }
  }
}
