import { connect } from 'node:net'

import { fromString } from 'uint8arrays/from-string'

import type { Clock } from '../../runtime/clock.ts'
import type { LaneTicket } from './lane.ts'
import { parseLaneAddress } from './laneaddress.ts'
import { encodePreamble } from './lanepreamble.ts'
import { laneUnreachable } from './securelane.ts'
import { SocketLane } from './socketlane.ts'

const DIAL_TIMEOUT_MS = 10_000

/**
 * Dials `address` (the ticket's `host:port`, its host filled in) and shows `ticket`. Throws PagemeshError
 * `lane-unreachable`, or the signal's reason.
 */
export async function dialLaneSocket(
  components: { clock: Clock }, address: string, ticket: LaneTicket, signal: AbortSignal,
): Promise<SocketLane> {
  signal.throwIfAborted()
  const { id } = ticket
  const socket = connect(parseLaneAddress(address))
  // Before it connects, so that nothing is read before TLS.
  socket.pause()
  const lane = new SocketLane(components, socket, { role: 'dialed', address, id, key: fromString(ticket.key, 'hex') })
  const abort = (): void => { socket.destroy() }
  signal.addEventListener('abort', abort, { once: true })
  const timeout = components.clock.after(DIAL_TIMEOUT_MS, () => socket.destroy(new Error('timed out')))
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.once('close', () => reject(new Error('the other end closed the connection')))
      // Resolves once the whole preamble is written, so that nothing is queued when TLS begins.
      socket.once('connect', () => socket.write(encodePreamble('lane', id), () => resolve()))
    })
  } catch (error) {
    signal.throwIfAborted()
    throw laneUnreachable(address, error)
  } finally {
    timeout.cancel()
    signal.removeEventListener('abort', abort)
  }
  return lane
}
