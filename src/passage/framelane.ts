import type { Lane } from '../mesh/index.ts'
import type { Delivery } from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { Throttle } from '../runtime/throttle.ts'
import { ALIVE_KIND, frameHeader, FrameReader, type FrameTable } from './frames.ts'

/** Interval of keep-alives. */
const ALIVE_EVERY_MS = 1000
/** A lane without any arriving byte for this time is lost, even if TCP has not given up. */
const SILENCE_MS_MAX = 5000
/** Length of a piece of a throttled frame, in time at the rate; above 30 MB/s every frame is one piece. */
const PIECE_SECONDS = 0.01
const PIECE_BYTES_MIN = 1024

export interface FrameLaneInit<Name extends string> {
  frames: FrameTable<Name>
  /** Rate limit on the wire; Infinity: unlimited. */
  bytesPerSecondMax: number
  /** Its errors go to `onLost`. */
  onFrame: (name: Name, body: Buffer) => void
  /** Called once when the lane closes, falls silent or gets an invalid frame; never after `complete` or `destroy`. */
  onLost: (error: PagemeshError) => void
}

/** Frames over a lane: whole frames in order, in both directions, with keep-alives. */
export class FrameLane<Name extends string> {
  readonly #clock: Clock
  readonly #lane: Lane
  readonly #frames: FrameTable<Name>
  readonly #throttle: Throttle
  readonly #pieceBytes: number
  readonly #onLost: (error: PagemeshError) => void
  readonly #alive: Timer
  /** The end of the queue of frames: each is written when there is room after the one before. */
  #queue: Promise<void> = Promise.resolve()
  #queued = 0
  #queuedBytes = 0
  #heardAt: number
  /** Whether the other end may close. */
  #isComplete = false
  #isOver = false

  constructor(components: { clock: Clock; lane: Lane }, init: FrameLaneInit<Name>) {
    this.#clock = components.clock
    this.#lane = components.lane
    this.#frames = init.frames
    this.#throttle = new Throttle({ clock: components.clock }, { rate: init.bytesPerSecondMax })
    this.#pieceBytes = Math.max(PIECE_BYTES_MIN, Math.floor(init.bytesPerSecondMax * PIECE_SECONDS))
    this.#onLost = init.onLost
    this.#heardAt = this.#clock.now()
    const reader = new FrameReader(init.frames, (name, body) => {
      // Frames after the one that ended the lane are ignored.
      if (!this.#isOver) init.onFrame(name, body)
    })
    this.#lane.receive((bytes) => this.#hear(reader, bytes))
    // It never rejects.
    void this.#lane.closed.then((error) => this.#lose(laneLost('it was closed', error)))
    this.#alive = this.#clock.every(ALIVE_EVERY_MS, () => this.#beAlive())
  }

  /** Bytes of queued frames: behind the throttle, other frames, or the lane. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get sentBytes(): number {
    return this.#lane.sentBytes
  }

  get receivedBytes(): number {
    return this.#lane.receivedBytes
  }

  get delivery(): Delivery | undefined {
    return this.#lane.delivery
  }

  /** Sends one frame after all before it; resolves when there is room for more. Never rejects: see `onLost`. */
  send(name: Name, ...parts: Uint8Array[]): Promise<void> {
    return this.#enqueue(frameOf(this.#frames[name].kind, parts))
  }

  /** Sends a frame for each body, in order, in one write: small frames then share packets and TLS records. */
  sendAll(name: Name, bodies: readonly Uint8Array[]): Promise<void> {
    return this.#enqueue(bodies.flatMap((body) => frameOf(this.#frames[name].kind, [body])))
  }

  /** All expected frames have come: from now on a close, silence or error is no loss. */
  complete(): void {
    this.#isComplete = true
  }

  /** Sends the queued frames, then closes; resolves when closed. Never rejects: errors go to `onLost`. */
  async close(): Promise<void> {
    await this.#queue
    if (this.#isOver) return
    this.#over()
    try {
      await this.#lane.end()
    } catch {
      // Closed all the same; the other end reports what it misses.
    }
  }

  destroy(): void {
    this.#over()
    this.#lane.destroy()
  }

  #enqueue(parts: readonly Uint8Array[]): Promise<void> {
    const bytes = bytesOf(parts)
    // With an empty queue the frame is written at once.
    const writing = this.#queued === 0 ? this.#write(parts, bytes) : this.#queue.then(() => this.#write(parts, bytes))
    this.#queued += 1
    this.#queuedBytes += bytes
    this.#queue = writing.catch((error: unknown) => {
      this.#lose(laneLost('it could not be written', error))
    }).then(() => {
      this.#queued -= 1
      this.#queuedBytes -= bytes
    })
    return this.#queue
  }

  async #write(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    let hasRoom = true
    for (const piece of bytes <= this.#pieceBytes ? [parts] : piecesOf(parts, this.#pieceBytes)) {
      const pieceBytes = bytesOf(piece)
      if (!this.#throttle.tryTake(pieceBytes)) await this.#throttle.take(pieceBytes)
      if (this.#isOver) return
      this.#lane.cork()
      for (const part of piece) if (part.length > 0) hasRoom = this.#lane.write(part)
      this.#lane.uncork()
    }
    if (!hasRoom) await this.#lane.drained()
  }

  #hear(reader: FrameReader<Name>, bytes: Uint8Array): void {
    this.#heardAt = this.#clock.now()
    try {
      if (!this.#isOver) reader.push(bytes)
    } catch (error) {
      this.#lose(error instanceof PagemeshError ? error : laneLost('a frame could not be handled', error))
    }
  }

  #beAlive(): void {
    if (this.#clock.now() - this.#heardAt > SILENCE_MS_MAX) {
      this.#lose(laneLost(`nothing arrived for ${SILENCE_MS_MAX / 1000} s`))
    } else if (this.#queued === 0) {
      // Queued frames count as a keep-alive too. `#enqueue` never rejects.
      void this.#enqueue(frameOf(ALIVE_KIND, []))
    }
  }

  #lose(error: PagemeshError): void {
    if (this.#isOver) return
    this.destroy()
    if (!this.#isComplete) this.#onLost(error)
  }

  #over(): void {
    this.#isOver = true
    this.#alive.cancel()
  }
}

function frameOf(kind: number, parts: readonly Uint8Array[]): Uint8Array[] {
  return [frameHeader(kind, bytesOf(parts)), ...parts]
}

function bytesOf(parts: readonly Uint8Array[]): number {
  let bytes = 0
  for (const part of parts) bytes += part.length
  return bytes
}

/** Cuts frames into pieces of `pieceBytes`; each piece is a list of parts that are written together. */
function* piecesOf(parts: readonly Uint8Array[], pieceBytes: number): Generator<Uint8Array[]> {
  let piece: Uint8Array[] = []
  let room = pieceBytes
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      const bytes = part.subarray(at, at + Math.min(room, part.length - at))
      piece.push(bytes)
      at += bytes.length
      room -= bytes.length
      if (room > 0) continue
      yield piece
      piece = []
      room = pieceBytes
    }
  }
  if (piece.length > 0) yield piece
}

export function laneLost(why: string, cause?: unknown): PagemeshError {
  return new PagemeshError('lane-lost', `The connection between the two agents was lost: ${why}.`, {
    fault: 'network',
    phase: 'handoff',
    advice: 'Check that the other agent runs and that its lane address can be reached.',
    ...(cause === undefined ? {} : { cause }),
  })
}
