import type { Endpoint } from '../net/endpoint.ts'

/**
 * Passes on everything between two connections, as if there were one: ends as ends, breaks as breaks, last words
 * first. Resolves when both are closed; never rejects.
 */
export async function splice(one: Endpoint, other: Endpoint): Promise<void> {
  const ways = { there: passOn(one, other), back: passOn(other, one) }
  const follow = async (closed: Endpoint, left: Endpoint, lastWords: Way): Promise<void> => {
    await closed.closed
    await Promise.race([lastWords.written, left.closed])
    // Where both have said all, the other closes by itself when it has taken the rest.
    if (!ways.there.hasEnded || !ways.back.hasEnded) left.destroy()
  }
  await Promise.all([follow(one, other, ways.there), follow(other, one, ways.back), one.closed, other.closed])
}

/** One direction. */
interface Way {
  hasEnded: boolean
  /** Settles when what was read last has been taken, or never will be. */
  written: Promise<void>
}

function passOn(from: Endpoint, to: Endpoint): Way {
  const way: Way = { hasEnded: false, written: Promise.resolve() }
  from.receive((bytes) => {
    from.pause()
    // The buffer is used again while the other side takes its time. Where a write fails, nothing more is read; the
    // other side closes when its own last words are through.
    way.written = to.write(Buffer.from(bytes)).then(() => from.resume(), () => undefined)
  }, () => {
    way.hasEnded = true
    to.end()
  })
  return way
}
