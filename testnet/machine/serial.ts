import { closeSync, openSync, readSync } from 'node:fs'

const CHUNK_BYTES = 64 * 1024
/** Longer lines are cut: the relevant lines are short. */
const LINE_CHARACTERS_MAX = 4096

/** A guest's output on its serial console, read from the log file as it grows. */
export class SerialLog {
  readonly #path: string
  readonly #buffer = Buffer.alloc(CHUNK_BYTES)
  #offset = 0
  #partial = ''
  #ready = false
  #beats = 0
  #lastLine = ''
  #panic = ''

  constructor(path: string) {
    this.#path = path
  }

  /** Whether the guest's work has reached its steady state. */
  get ready(): boolean {
    this.#readNew()
    return this.#ready
  }

  /** The number of the last heartbeat; 0 before the first. The count continues across a migration. */
  get beats(): number {
    this.#readNew()
    return this.#beats
  }

  /** The line of a kernel panic, or else the last whole line, for error messages. */
  get lastWords(): string {
    this.#readNew()
    return this.#panic === '' ? this.#lastLine : this.#panic
  }

  #readNew(): void {
    const file = openSync(this.#path, 'r')
    try {
      for (;;) {
        const count = readSync(file, this.#buffer, 0, CHUNK_BYTES, this.#offset)
        if (count === 0) return
        this.#offset += count
        this.#take(this.#buffer.toString('latin1', 0, count))
      }
    } finally {
      closeSync(file)
    }
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split('\n')
    this.#partial = (lines.pop() ?? '').slice(0, LINE_CHARACTERS_MAX)
    for (const line of lines) {
      this.#lastLine = line.trim()
      if (this.#lastLine === 'pagemesh: ready') this.#ready = true
      // The lines after it are the same for every panic.
      if (this.#lastLine.includes('Kernel panic')) this.#panic = this.#lastLine
      const beat = /pagemesh: beat (\d+)$/.exec(this.#lastLine)
      if (beat !== null) this.#beats = Number(beat[1])
    }
  }
}
