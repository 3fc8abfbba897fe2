import type { Server, Socket } from 'node:net'

import type { HandedConnection } from '../../net/handover.ts'
import { deliveryOf, duplicateDescriptor, type Delivery } from './kernel.ts'

/** The part of a socket or server that Node does not document: the operating system's end of it. */
interface Handled {
  _handle?: { fd?: number; readStop?: () => void } | null
}

/**
 * Takes the connection out of a socket, so that another thread can open it. The socket object is destroyed, but the
 * connection stays open. The socket must be paused. Returns undefined, without effect, if there is no kernel or the
 * socket is closed.
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

/** Delivery rate and acknowledged bytes of a socket; undefined if unknown. */
export function deliveryOver(socket: Socket): Delivery | undefined {
  const fd = descriptorOf(socket)
  return fd === undefined ? undefined : deliveryOf(fd)
}

/** What a socket, or a server that listens, is to the operating system; undefined for one that is closed. */
export function descriptorOf(socket: Socket | Server): number | undefined {
  const fd = handleOf(socket)?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

function handleOf(socket: Socket | Server): Handled['_handle'] {
  return (socket as unknown as Handled)._handle
}
