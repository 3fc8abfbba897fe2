const LINE_FEED = 0x0a
/** Room that is kept from line to line; doubled while one grows. */
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
      lines.push(this.#finish(bytes, start, end))
      start = end + 1
    }
    if (this.#keptBytes + bytes.length - start > this.#bytesMax) return 'too-long'
    this.#keep(bytes, start, bytes.length)
    return lines
  }

  #finish(bytes: Buffer, start: number, end: number): string {
    this.#keep(bytes, start, end)
    const line = this.#kept.toString('utf8', 0, this.#keptBytes)
    if (this.#kept.length > ROOM_BYTES_MIN) this.#kept = Buffer.alloc(0)
    this.#keptBytes = 0
    return line
  }

  /** Copies: the socket may reuse its buffer. */
  #keep(bytes: Buffer, start: number, end: number): void {
    const keptBytes = this.#keptBytes + end - start
    if (keptBytes > this.#kept.length) {
      const wished = Math.max(ROOM_BYTES_MIN, 2 * this.#kept.length)
      const larger = Buffer.allocUnsafe(Math.max(keptBytes, Math.min(this.#bytesMax, wished)))
      this.#kept.copy(larger, 0, 0, this.#keptBytes)
      this.#kept = larger
    }
    bytes.copy(this.#kept, this.#keptBytes, start, end)
    this.#keptBytes = keptBytes
  }
}
