import { connect, type Socket } from 'node:net'

import type { Clock } from '../../../src/runtime/clock.ts'

/** How much work was done at a moment. */
export interface WorkMark {
  at: number
  done: number
}

/** The most characters of one count; a longer line is not one. A cut line may look like a smaller count. */
const LINE_CHARACTERS_MAX = 64

/**
 * Listens to a guest's fine heartbeat from outside: when a beat came, ms of the clock, and how much work was done by
 * then. The guest writes a dot every 10 ms, and after every tenth its work count.
 */
export class Heartbeat {
  readonly beats: number[] = []
  readonly marks: WorkMark[] = []
  readonly #socket: Socket
  #line = ''

  constructor(components: { clock: Clock }, init: { path: string }) {
    this.#socket = connect(init.path)
    // A guest whose process ends falls silent, which shows in the figures.
    this.#socket.on('error', () => undefined)
    this.#socket.on('data', (bytes) => this.#hear(components.clock.now(), bytes.toString()))
  }

  close(): void {
    this.#socket.destroy()
  }

  #hear(at: number, text: string): void {
    this.beats.push(at)
    const lines = (this.#line + text).split('\n')
    this.#line = (lines.pop() ?? '').slice(-LINE_CHARACTERS_MAX)
    for (const line of lines) {
      const said = /^\.*\.(\d+)$/.exec(line)
      if (said !== null) this.marks.push({ at, done: Number(said[1]) })
    }
  }
}

/** The longest time without a beat between `from` and `to`, ms; beats in any order. Pure. */
export function longestSilence(beats: readonly number[], from: number, to: number): number {
  let longest = 0
  let last = from
  for (const beat of beats.filter((at) => at > from && at < to).sort((left, right) => left - right)) {
    longest = Math.max(longest, beat - last)
    last = beat
  }
  return Math.max(longest, to - last)
}

/** Work a second between `from` and `to`; 0 without marks. Marks in any order. Pure. */
export function workRate(marks: readonly WorkMark[], from: number, to: number): number {
  const doneAt = (time: number): number => {
    let done = marks.reduce((least, mark) => Math.min(least, mark.done), Infinity)
    for (const mark of marks) if (mark.at <= time) done = Math.max(done, mark.done)
    return done
  }
  return marks.length === 0 || to <= from ? 0 : ((doneAt(to) - doneAt(from)) / (to - from)) * 1000
}
