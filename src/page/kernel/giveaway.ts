import type { Socket } from 'node:net'

import type { HandedConnection } from '../../net/handover.ts'
import { deliveryOf, duplicateDescriptor, type Delivery } from './kernel.ts'

/** The part of a socket that Node does not document: the operating system's end of it. */
interface Handled {
  _handle: { fd?: number; readStop?: () => void } | null
}

/**
 * Takes the connection out of a socket, so that another thread can open it; the socket itself is destroyed, which the
 * connection does not feel. Whoever reads the socket must have paused it. Undefined, and nothing has happened, where
 * there is no kernel or the socket is closed.
 */
export function giveAway(socket: Socket): HandedConnection | undefined {
  const own = descriptorOf(socket)
  const fd = own === undefined ? undefined : duplicateDescriptor(own)
  if (fd === undefined) return undefined
  handleOf(socket)?.readStop?.()
  const early = socket.read() as Buffer | null
  socket.destroy()
  return { fd, early: early === null ? new Uint8Array(0) : Uint8Array.from(early) }
}

/** How fast, and how much, has arrived of what was sent over a socket; undefined where nobody can say. */
export function deliveryOver(socket: Socket): Delivery | undefined {
  const fd = descriptorOf(socket)
  return fd === undefined ? undefined : deliveryOf(fd)
}

/** What a socket is to the operating system; undefined for one that is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  const fd = handleOf(socket)?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

function handleOf(socket: Socket): Handled['_handle'] {
  return (socket as unknown as Handled)._handle
}
