import type { Endpoint } from '../net/endpoint.ts'

/**
 * Joins two connections: passes on bytes, half-closes and breaks, a break only after the bytes before it. Resolves
 * when both are closed; never rejects.
 */
export async function splice(one: Endpoint, other: Endpoint): Promise<void> {
  const ways = { there: passOn(one, other), back: passOn(other, one) }
  const follow = async (closed: Endpoint, left: Endpoint, lastWords: Way): Promise<void> => {
    await closed.closed
    await Promise.race([lastWords.written, left.closed])
    // If both directions have ended, the other closes by itself once it has written the rest.
    if (!ways.there.hasEnded || !ways.back.hasEnded) left.destroy()
  }
  await Promise.all([follow(one, other, ways.there), follow(other, one, ways.back), one.closed, other.closed])
}

/** One direction. */
interface Way {
  hasEnded: boolean
  /** Settles when the last bytes read have been written, or the write has failed. */
  written: Promise<void>
}

function passOn(from: Endpoint, to: Endpoint): Way {
  const way: Way = { hasEnded: false, written: Promise.resolve() }
  from.receive((bytes) => {
    from.pause()
    // Copied, because the read buffer is reused. After a failed write nothing more is read; the connection closes once
    // its own last bytes were passed on.
    way.written = to.write(Buffer.from(bytes)).then(() => from.resume(), () => undefined)
  }, () => {
    way.hasEnded = true
    to.end()
  })
  return way
}
