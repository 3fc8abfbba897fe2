import { deferred } from '../runtime/wait.ts'
import type { Endpoint } from './endpoint.ts'

/** A connection whose first bytes can be read without being taken from its later receiver. */
export interface PeekedEndpoint extends Endpoint {
  /** Resolves with the first bytes, or undefined if it ends or closes without any. Never rejects. */
  readonly first: Promise<Buffer | undefined>
  /** The bytes that have arrived so far; undefined while there are none. */
  readonly seen: Buffer | undefined
}

/** Begins to read `endpoint`, which must have no receiver yet, and stops at the first piece. */
export function peek(endpoint: Endpoint): PeekedEndpoint {
  let listener: { onBytes: (bytes: Buffer) => void; onEnd: () => void } | undefined
  let seen: Buffer | undefined
  let hasEnded = false
  const first = deferred<Buffer | undefined>()
  endpoint.receive((bytes) => {
    if (listener !== undefined) {
      listener.onBytes(bytes)
      return
    }
    endpoint.pause()
    seen = seen === undefined ? Buffer.from(bytes) : Buffer.concat([seen, bytes])
    first.resolve(seen)
  }, () => {
    if (listener !== undefined) listener.onEnd()
    else hasEnded = true
    first.resolve(undefined)
  })
  // Never rejects.
  void endpoint.closed.then(() => first.resolve(undefined))
  return {
    first: first.promise,
    get seen() {
      return seen
    },
    receive(onBytes, onEnd) {
      listener = { onBytes, onEnd }
      if (seen !== undefined) onBytes(seen)
      seen = undefined
      if (hasEnded) onEnd()
      endpoint.resume()
    },
    pause: () => endpoint.pause(),
    resume: () => endpoint.resume(),
    write: (bytes) => endpoint.write(bytes),
    end: () => endpoint.end(),
    destroy: () => endpoint.destroy(),
    closed: endpoint.closed,
    handOver(taker) {
      const handed = endpoint.handOver?.(taker)
      // The bytes already read go along; the other thread sees the end of stream again by itself.
      return handed === undefined || seen === undefined ? handed : { ...handed, early: seen }
    },
  }
}
