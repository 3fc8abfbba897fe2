import { duplexPair, type Duplex } from 'node:stream'

import type { Clock } from '../../runtime/clock.ts'
import { DuplexLane } from '../lanes/duplexlane.ts'
import type { Lane } from '../lanes/lane.ts'

/** Both ends of a bulk lane inside this process, with the back-pressure of a socket. */
export function createLanePair(components: { clock: Clock }): [Lane, Lane] {
  const [near, far] = duplexPair()
  const nearCount = { bytes: 0 }
  const farCount = { bytes: 0 }
  return [laneOver(components, near, far, nearCount, farCount), laneOver(components, far, near, farCount, nearCount)]
}

/** One end's received bytes are the other's sent bytes. */
function laneOver(
  components: { clock: Clock }, duplex: Duplex, other: Duplex, received: { bytes: number }, sent: { bytes: number },
): Lane {
  // A socket closes both ways at both ends; a pair of streams must be told to.
  duplex.once('end', () => duplex.end())
  duplex.once('close', () => other.destroy())
  return new DuplexLane(components, {
    duplex,
    deliver: (receiver) => {
      duplex.on('data', (bytes: Uint8Array) => {
        received.bytes += bytes.length
        receiver(bytes)
      })
    },
    pause: () => { duplex.pause() },
    resume: () => { duplex.resume() },
    sentBytes: () => sent.bytes,
    receivedBytes: () => received.bytes,
  })
}
