import {
  createStreamReader, type StreamMark, type StreamReader, type StreamReaderOptions,
} from '../../src/qemu/index.ts'

/** One thing that a reader said. */
export type Saying =
  | { says: 'page', offset: number }
  | { says: 'zeroPage' }
  | { says: 'mark', mark: StreamMark, offset: number }
  | { says: 'runState', state: string }
  | { says: 'lost', reason: string, offset: number }
  | { says: 'resynchronised', offset: number }

export interface Transcript {
  sayings: Saying[]
  pageOffsets: number[]
  marks: { mark: StreamMark, offset: number }[]
  runStates: string[]
  losses: string[]
  reader: StreamReader
}

/** Pushes `bytes` in pieces of `pieceBytes` (or of these lengths, in turn) and writes down what the reader says. */
export function transcribe(
  bytes: Uint8Array, pieceBytes: number | readonly number[] = bytes.length, options: StreamReaderOptions = {},
): Transcript {
  const sayings: Saying[] = []
  const reader = createStreamReader({
    page: (offset) => sayings.push({ says: 'page', offset }),
    zeroPage: () => sayings.push({ says: 'zeroPage' }),
    mark: (mark, offset) => sayings.push({ says: 'mark', mark, offset }),
    runState: (state) => sayings.push({ says: 'runState', state }),
    lost: (reason, offset) => sayings.push({ says: 'lost', reason, offset }),
    resynchronised: (offset) => sayings.push({ says: 'resynchronised', offset }),
  }, options)
  const lengths = typeof pieceBytes === 'number' ? [pieceBytes] : pieceBytes
  // Pieces travel in a buffer that is used again, as they do on a socket: what a reader keeps it must copy,
  // and `slice` of a Buffer does not.
  const buffer = Buffer.alloc(Math.max(1, ...lengths))
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const taken = bytes.subarray(at, at + Math.max(1, lengths[piece % lengths.length]!))
    buffer.set(taken)
    reader.push(buffer.subarray(0, taken.length))
    buffer.fill(0xee)
    at += taken.length
  }
  return {
    sayings,
    pageOffsets: sayings.flatMap((saying) => saying.says === 'page' ? [saying.offset] : []),
    marks: sayings.flatMap((saying) => saying.says === 'mark' ? [{ mark: saying.mark, offset: saying.offset }] : []),
    runStates: sayings.flatMap((saying) => saying.says === 'runState' ? [saying.state] : []),
    losses: sayings.flatMap((saying) => saying.says === 'lost' ? [saying.reason] : []),
    reader,
  }
}
