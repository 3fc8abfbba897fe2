const LINE_FEED = 0x0a
/** What the unfinished line begins with; doubled as it grows. */
const ROOM_BYTES_MIN = 256

/** Cuts arriving bytes into lines, without their line feeds. Keeps at most one unfinished line, and does no I/O. */
export class LineCutter {
  readonly #bytesMax: number
  /** The unfinished line, in one piece: a sender of single bytes would make more of pieces than of bytes. */
  #kept: Buffer = Buffer.alloc(0)
  #keptBytes = 0

  /** @param bytesMax length of the longest accepted line. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** The lines that `bytes` completes, or `too-long` once a line exceeds the limit; then the cutter is unusable. */
  push(bytes: Buffer): string[] | 'too-long' {
    const lines: string[] = []
    let start = 0
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      if (this.#keptBytes + end - start > this.#bytesMax) return 'too-long'
      lines.push(this.#finish(bytes.subarray(start, end)))
      start = end + 1
    }
    if (this.#keptBytes + bytes.length - start > this.#bytesMax) return 'too-long'
    this.#keep(bytes.subarray(start))
    return lines
  }

  #finish(end: Buffer): string {
    this.#keep(end)
    const line = this.#kept.toString('utf8', 0, this.#keptBytes)
    this.#kept = Buffer.alloc(0)
    this.#keptBytes = 0
    return line
  }

  /** Copies: the socket may reuse its buffer. */
  #keep(piece: Buffer): void {
    const bytes = this.#keptBytes + piece.length
    if (bytes > this.#kept.length) {
      const wished = Math.max(ROOM_BYTES_MIN, 2 * this.#kept.length)
      const larger = Buffer.allocUnsafe(Math.max(bytes, Math.min(this.#bytesMax, wished)))
      this.#kept.copy(larger, 0, 0, this.#keptBytes)
      this.#kept = larger
    }
    piece.copy(this.#kept, this.#keptBytes)
    this.#keptBytes = bytes
  }
}
