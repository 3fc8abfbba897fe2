import type { Lane } from '../mesh/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { Throttle } from '../runtime/throttle.ts'
import { FRAME_HEADER_BYTES, FRAME_KINDS, frameHeader, FrameReader, type FrameKind } from './wire.ts'

/** Each end says at least this often that it lives. */
const ALIVE_EVERY_MS = 1000
/** A lane on which nothing at all arrived for so long is lost, whatever TCP still hopes. */
const SILENCE_MS_MAX = 5000
/** A throttled frame leaves in pieces of this size. */
const PIECE_BYTES = 64 * 1024

/** Frames over a lane: whole frames in order, in both directions, with signs of life. */
export class LaneChannel {
  readonly #clock: Clock
  readonly #lane: Lane
  readonly #throttle: Throttle
  readonly #onLost: (error: PagemeshError) => void
  readonly #alive: Timer
  /** The end of the queue of frames: each is written when the one before has found room. */
  #queue: Promise<void> = Promise.resolve()
  #heardAt: number
  #isOver = false

  constructor(
    components: { clock: Clock; lane: Lane },
    init: {
      /** What may be sent on the wire; Infinity: as fast as it goes. */
      bytesPerSecond: number
      onFrame: (kind: FrameKind, body: Buffer) => void
      /** Called once when the lane closes, falls silent or carries nonsense; never after `close` or `destroy`. */
      onLost: (error: PagemeshError) => void
    },
  ) {
    this.#clock = components.clock
    this.#lane = components.lane
    this.#throttle = new Throttle({ clock: components.clock }, { rate: init.bytesPerSecond })
    this.#onLost = init.onLost
    this.#heardAt = this.#clock.now()
    const frames = new FrameReader(init.onFrame)
    this.#lane.receive((bytes) => {
      this.#heardAt = this.#clock.now()
      if (this.#isOver) return
      try {
        frames.push(bytes)
      } catch (error) {
        this.#lose(error instanceof PagemeshError ? error : laneLost('a frame could not be handled', error))
      }
    })
    void this.#lane.closed.then((error) => this.#lose(laneLost('it was closed', error)))
    this.#alive = this.#clock.every(ALIVE_EVERY_MS, () => this.#beAlive())
  }

  get sentBytes(): number {
    return this.#lane.sentBytes
  }

  get receivedBytes(): number {
    return this.#lane.receivedBytes
  }

  /** Sends one frame after all before it; resolves when there is room for more. Never rejects: see onLost. */
  send(kind: FrameKind, ...parts: Uint8Array[]): Promise<void> {
    this.#queue = this.#queue.then(() => this.#write(kind, parts)).catch((error: unknown) => {
      this.#lose(laneLost('it could not be written', error))
    })
    return this.#queue
  }

  /** All that was expected has come: from now on the other end may close, and nothing more is said. */
  complete(): void {
    this.#over()
  }

  /** Sends what is queued, then closes. */
  async close(): Promise<void> {
    await this.#queue
    if (this.#isOver) return
    this.#over()
    await this.#lane.end().catch(() => undefined)
  }

  destroy(): void {
    this.#over()
    this.#lane.destroy()
  }

  async #write(kind: FrameKind, parts: Uint8Array[]): Promise<void> {
    if (this.#isOver) return
    const bodyBytes = parts.reduce((sum, part) => sum + part.length, 0)
    const pieces = [frameHeader(kind, bodyBytes), ...parts]
    await this.#throttle.take(FRAME_HEADER_BYTES)
    this.#lane.cork()
    let hasRoom = true
    for (const part of pieces) {
      for (let at = 0; at < part.length; at += PIECE_BYTES) {
        const piece = part.subarray(at, at + PIECE_BYTES)
        if (!this.#throttle.isFree) {
          this.#lane.uncork()
          await this.#throttle.take(piece.length)
          if (this.#isOver) return
          this.#lane.cork()
        }
        hasRoom = this.#lane.write(piece)
      }
    }
    this.#lane.uncork()
    if (!hasRoom) await this.#lane.drained()
  }

  #beAlive(): void {
    if (this.#clock.now() - this.#heardAt > SILENCE_MS_MAX) {
      this.#lose(laneLost(`nothing arrived for ${SILENCE_MS_MAX / 1000} s`))
      return
    }
    void this.send(FRAME_KINDS.alive)
  }

  #lose(error: PagemeshError): void {
    if (this.#isOver) return
    this.#over()
    this.#lane.destroy()
    this.#onLost(error)
  }

  #over(): void {
    this.#isOver = true
    this.#alive.cancel()
  }
}

function laneLost(why: string, cause?: unknown): PagemeshError {
  return new PagemeshError('lane-lost', `The connection between the two agents was lost: ${why}.`, {
    fault: 'network',
    phase: 'handoff',
    advice: 'Check that the other agent runs and that its lane address can be reached.',
    ...(cause === undefined ? {} : { cause }),
  })
}
