/**
 * Frames: how whole messages travel over a lane.
 *
 *   frame = length kind body;  length = u32, bytes of the body;  kind = u8
 *
 * Who talks over a lane has a table of its own: which kinds there are, and how long their bodies may be. A sign of
 * life is a frame of every table.
 */
import { FrameCutter } from '../bytes/framecutter.ts'
import { assert } from '../runtime/assert.ts'
import { PagemeshError } from '../runtime/errors.ts'

export const FRAME_HEADER_BYTES = 5
/** The kind of a sign of life, in every table: it has no body and is handed to nobody. */
export const ALIVE_KIND = 255

/** What a frame may be. */
export interface FrameRule {
  /** 1 to 254, another for each. */
  kind: number
  /** The shortest and the longest body; another one is refused before it is buffered. */
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

/** Cuts the bytes of a lane into frames. `push` throws PagemeshError `bad-frame` on one that the table has not. */
export class FrameReader<Name extends string> {
  readonly #cutter: FrameCutter
  readonly #byKind = new Map<number, FrameRule & { name: Name }>()

  /** `onFrame` gets each body whole, in memory of its own. */
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

/** What the other agent sent cannot be; `why` names the frame, and the state that it came in. */
export function badFrame(why: string): PagemeshError {
  return new PagemeshError('bad-frame', `The other agent sent a frame that cannot be read: ${why}.`, {
    fault: 'peer',
    phase: 'handoff',
    advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
