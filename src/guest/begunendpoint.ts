import type { Endpoint } from '../runtime/endpoint.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** The connection once its first bytes are there: a QEMU that connects and then gives up has begun nothing. */
export function untilBegun(endpoint: Endpoint): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    let listener: { onBytes: (bytes: Buffer) => void; onEnd: () => void } | undefined
    let first: Buffer | undefined
    let hasEnded = false
    endpoint.receive((bytes) => {
      if (listener !== undefined) {
        listener.onBytes(bytes)
        return
      }
      endpoint.pause()
      first = first === undefined ? Buffer.from(bytes) : Buffer.concat([first, bytes])
      resolve(begunEndpoint)
    }, () => {
      if (listener !== undefined) listener.onEnd()
      else hasEnded = true
      reject(new PagemeshError('qemu-failed', 'The source QEMU connected and closed again without a word.', {
        fault: 'guest', phase: 'starting', advice: 'See the log of that QEMU.',
      }))
    })
    const begunEndpoint: Endpoint = {
      receive(onBytes, onEnd) {
        listener = { onBytes, onEnd }
        if (first !== undefined) onBytes(first)
        first = undefined
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
        // What was read goes along; an end that was heard is heard there again.
        return handed === undefined || first === undefined ? handed : { ...handed, early: first }
      },
    }
  })
}
