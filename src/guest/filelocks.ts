/** Locks of files as /proc/PID/fdinfo/N shows them, and which of them keep QEMU from using an image. Pure. */

export interface FileLock {
  /** OFDLCK is of an open file, POSIX of a process; both conflict with QEMU's. FLOCK and LEASE do not. */
  kind: string
  /** First and last byte. */
  start: number
  end: number
}

/** Reads the lines `lock:	1: OFDLCK ADVISORY  READ -1 fe:00:2180050 100 101`; the last byte may be `EOF`. */
export function parseFileLocks(fdinfo: string): FileLock[] {
  return [...fdinfo.matchAll(/^lock:\s+\d+:\s+(\w+)\s+\w+\s+\w+\s+-?\d+\s+\S+\s+(\d+)\s+(\d+|EOF)/gm)]
    .map(([, kind, start, end]) => ({
      kind: kind!, start: Number(start), end: end === 'EOF' ? Infinity : Number(end),
    }))
}

/** What a QEMU does with an image once its guest may run. */
export interface ImageUse {
  writes: boolean
  /** Whether others may write meanwhile (`share-rw=on`). */
  sharesWriting: boolean
}

/** QEMU's block permissions, each a byte of the image: consistent read, write, resize. */
const READ = 0
const WRITE = 1
const RESIZE = 3
/** A lock from here says that a permission is used, and from there that nobody else may use it. */
const USED_FROM = 100
const UNSHARED_FROM = 200

/** Whether `locks`, held by somebody else, keep QEMU from using an image so. */
export function keepsFrom(locks: readonly FileLock[], { writes, sharesWriting }: ImageUse): boolean {
  const used = writes ? [READ, WRITE] : [READ]
  const unshared = sharesWriting ? [] : [WRITE, RESIZE]
  const bytes = [...used.map((permission) => UNSHARED_FROM + permission),
    ...unshared.map((permission) => USED_FROM + permission)]
  return locks.some(({ kind, start, end }) =>
    (kind === 'OFDLCK' || kind === 'POSIX') && bytes.some((byte) => start <= byte && byte <= end))
}
