/**
 * Frames: the encoding of whole messages on a lane.
 *
 *   frame = length kind body;  length = u32, bytes of the body;  kind = u8
 *
 * Each protocol over a lane has its own table of kinds and body lengths. The keep-alive is part of every table.
 */
import { FrameCutter } from '../bytes/framecutter.ts'
import { assert } from '../runtime/assert.ts'
import { PagemeshError } from '../runtime/errors.ts'

export const FRAME_HEADER_BYTES = 5
/** The kind of a keep-alive, in every table: it has no body and is not passed on. */
export const ALIVE_KIND = 255

/** Kind and body lengths of a frame. */
export interface FrameRule {
  /** 1 to 254, unique in the table. */
  kind: number
  /** Least and greatest length of the body; others are refused before they are buffered. */
  bytesMin: number
  bytesMax: number
}

export type FrameTable<Name extends string> = Readonly<Record<Name, FrameRule>>

export function frameHeader(kind: number, bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  header.writeUInt32BE(bodyBytes, 0)
  header[4] = kind
  return header
}

/** Cuts the bytes of a lane into frames. `push` throws PagemeshError `bad-frame` if a frame is not in the table. */
export class FrameReader<Name extends string> {
  readonly #cutter: FrameCutter
  readonly #byKind = new Map<number, FrameRule & { name: Name }>()

  /** `onFrame` gets each whole body, in separate memory. */
  constructor(table: FrameTable<Name>, onFrame: (name: Name, body: Buffer) => void) {
    for (const [name, rule] of Object.entries(table) as [Name, FrameRule][]) {
      assert(!this.#byKind.has(rule.kind) && rule.kind < ALIVE_KIND, 'each frame has a kind of its own')
      this.#byKind.set(rule.kind, { ...rule, name })
    }
    this.#cutter = new FrameCutter({
      headBytes: FRAME_HEADER_BYTES,
      bodyBytesOf: (header) => this.#bodyBytesOf(header),
      onFrame: (header, body) => {
        const rule = this.#byKind.get(header[4]!)
        if (rule !== undefined) onFrame(rule.name, body)
      },
    })
  }

  push(bytes: Uint8Array): void {
    this.#cutter.push(bytes)
  }

  #bodyBytesOf(header: Buffer): number {
    const bodyBytes = header.readUInt32BE(0)
    const kind = header[4]!
    const rule = kind === ALIVE_KIND ? { name: 'alive', bytesMin: 0, bytesMax: 0 } : this.#byKind.get(kind)
    if (rule === undefined) throw badFrame(`its kind ${kind} is unknown`)
    const { name, bytesMin, bytesMax } = rule
    if (bodyBytes > bytesMax) throw badFrame(`its ${name} frame of ${bodyBytes} bytes exceeds ${bytesMax}`)
    if (bodyBytes < bytesMin) throw badFrame(`its ${name} frame of ${bodyBytes} bytes is shorter than ${bytesMin}`)
    return bodyBytes
  }
}

/** The other agent sent an invalid frame; `why` names the frame, and the state in which it came. */
export function badFrame(why: string): PagemeshError {
  return new PagemeshError('bad-frame', `The other agent sent a frame that cannot be read: ${why}.`, {
    fault: 'peer',
    phase: 'handoff',
    advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
