/** File locks as /proc/PID/fdinfo/N shows them, and which of them prevent QEMU from using an image. Pure. */

export interface FileLock {
  /** OFDLCK belongs to an open file, POSIX to a process; both conflict with QEMU's locks. FLOCK and LEASE do not. */
  kind: string
  /** First and last byte. */
  start: number
  end: number
}

/** Parses the lines `lock:	1: OFDLCK ADVISORY  READ -1 fe:00:2180050 100 101`; the last byte may be `EOF`. */
export function parseFileLocks(fdinfo: string): FileLock[] {
  return [...fdinfo.matchAll(/^lock:\s+\d+:\s+(\w+)\s+\w+\s+\w+\s+-?\d+\s+\S+\s+(\d+)\s+(\d+|EOF)/gm)]
    .map(([, kind, start, end]) => ({
      kind: kind!, start: Number(start), end: end === 'EOF' ? Infinity : Number(end),
    }))
}

/** How a QEMU uses an image once its guest may run. */
export interface ImageUse {
  writes: boolean
  /** Whether other processes may write too (`share-rw=on`). */
  sharesWriting: boolean
}

/** QEMU's block permissions, as byte offsets of locks: consistent read, write, resize. */
const READ = 0
const WRITE = 1
const RESIZE = 3
/** First byte of the locks for permissions in use, and of those for permissions denied to others. */
const USED_FROM = 100
const UNSHARED_FROM = 200

/** Whether `locks` of another process conflict with this use of an image. */
export function keepsFrom(locks: readonly FileLock[], { writes, sharesWriting }: ImageUse): boolean {
  const used = writes ? [READ, WRITE] : [READ]
  const unshared = sharesWriting ? [] : [WRITE, RESIZE]
  const bytes = [...used.map((permission) => UNSHARED_FROM + permission),
    ...unshared.map((permission) => USED_FROM + permission)]
  return locks.some(({ kind, start, end }) =>
    (kind === 'OFDLCK' || kind === 'POSIX') && bytes.some((byte) => start <= byte && byte <= end))
}
