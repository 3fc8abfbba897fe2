import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, writeSync } from 'node:fs'

import { systemErrorCode } from '../../src/runtime/errors.ts'

/** A pipe that has a reader who never reads, for a child process to write to. */
export interface HungReader {
  /** The writing end. */
  readonly fd: number
  close(): void
}

/** @param isFull not one byte more goes in. */
export function hungReader(path: string, { isFull }: { isFull: boolean }): HungReader {
  spawnSync('mkfifo', [path])
  // Opened both ways, it does not wait for the other end.
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  if (isFull) fill(reader)
  const fd = openSync(path, constants.O_WRONLY)
  return {
    fd,
    close() {
      closeSync(fd)
      closeSync(reader)
    },
  }
}

function fill(fd: number): void {
  try {
    for (;;) writeSync(fd, ' '.repeat(4096))
  } catch (error) {
    if (systemErrorCode(error) !== 'EAGAIN') throw error
  }
}
