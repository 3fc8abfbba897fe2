import { closeSync, constants, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { basename, dirname } from 'node:path'

/** Linux's limit on a socket's path (sun_path without its final zero). */
export const SOCKET_PATH_BYTES_MAX = 107

/**
 * Connects to the socket at `path`, however long that is: whoever bound a longer one was in another directory. Then the
 * way is by a descriptor of its directory. Failures are errors of the socket.
 */
export function connectAt(socket: Socket, path: string): void {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) {
    socket.connect(path)
    return
  }
  try {
    const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
    // A socket closes once, whether it was connected or not.
    socket.once('close', () => closeSync(directory))
    socket.connect(`/proc/self/fd/${directory}/${basename(path)}`)
  } catch (error) {
    socket.destroy(error as Error)
  }
}
