const LINE_FEED = 0x0a

/** Cuts arriving bytes into lines, without their line feeds. Keeps at most one unfinished line, and does no I/O. */
export class LineCutter {
  readonly #bytesMax: number
  #pieces: Buffer[] = []
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
      if (!this.#keep(bytes.subarray(start, end))) return 'too-long'
      lines.push(Buffer.concat(this.#pieces).toString('utf8'))
      this.#pieces = []
      this.#keptBytes = 0
      start = end + 1
    }
    // Copied: the socket may reuse its buffer.
    return this.#keep(Buffer.from(bytes.subarray(start))) ? lines : 'too-long'
  }

  #keep(piece: Buffer): boolean {
    this.#keptBytes += piece.length
    if (this.#keptBytes > this.#bytesMax) return false
    if (piece.length > 0) this.#pieces.push(piece)
    return true
  }
}
