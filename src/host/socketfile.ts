import { chmod, chown, lstat, mkdtemp, rename, rm } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { dirname, join } from 'node:path'

import { PagemeshError, systemErrorCode, type ErrorCode } from '../runtime/errors.ts'
import { requireUnexposed } from './exposure.ts'
import { SOCKET_PATH_BYTES_MAX } from './longpath.ts'
import { makePassable } from './passable.ts'

/** The socket file of a server. */
export interface SocketFile {
  /** The path to which the kernel bound it. */
  boundAt: string
  /** Removes it, if it is still the same. */
  remove(): Promise<void>
}

export interface SocketFileInit {
  path: string
  mode: number
  /** The group that gets it. */
  gid?: number
  /** The words for messages: its use, to follow "the", and who else may have it; and the codes of thrown errors. */
  use: string
  other: string
  codes: { taken: ErrorCode; unusable: ErrorCode }
}

/**
 * Throws PagemeshError `codes.taken` if a process listens at `path`, `codes.unusable` if something else is there. A
 * free path, or a socket without a listener, is fine.
 */
export async function requireUntaken(init: Omit<SocketFileInit, 'mode' | 'gid'>): Promise<void> {
  const { path, other, codes } = init
  // Usually nothing is there. If it cannot be read, listening fails as well, with the reason.
  const file = await lstat(path).catch(() => undefined)
  if (file === undefined) return
  if (!file.isSocket()) throw unusable(init, 'the file there is not a socket')
  const code = await connectErrorCode(path)
  if (code === undefined || code === 'EAGAIN') {
    throw new PagemeshError(codes.taken, `Another ${other} runs already: it listens at ${path}.`, {
      fault: 'host', phase: 'start', data: { path }, advice: 'Stop it first, or give this one another path.',
    })
  }
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') throw unusable(init, code)
}

/**
 * Lets `server` listen at a path, replacing a socket without a listener. The socket is made in a directory that only
 * the agent may enter, and moved into place once its mode is right: at no time can others connect who may not, whatever
 * the umask. Throws like `requireUntaken`, and `directory-exposed` where others could replace it.
 */
export async function listenAt(server: Server, init: SocketFileInit): Promise<SocketFile> {
  const { path, mode, gid, use } = init
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw unusable(init, `it is longer than ${SOCKET_PATH_BYTES_MAX} bytes`)
  }
  await requireUntaken(init)
  try {
    await makePassable(dirname(path))
    await requireUnexposed(dirname(path), `the ${use}`)
    // No longer than `control.sock`, so that the limit on paths does not strike here.
    const directory = await mkdtemp(`${dirname(path)}/.`)
    try {
      const boundAt = join(directory, 's')
      await listen(server, boundAt)
      if (gid !== undefined) await giveToGroup(boundAt, gid, init)
      await chmod(boundAt, mode)
      const { ino } = await lstat(boundAt)
      await rename(boundAt, path)
      return { boundAt, remove: () => removeSame(path, ino) }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  } catch (cause) {
    // It listens where nobody finds it, and would keep this process alive.
    if (server.listening) server.close()
    if (cause instanceof PagemeshError) throw cause
    throw unusable(init, systemErrorCode(cause) ?? 'unknown cause', cause)
  }
}

/** Only root may give a file to a group of which it is no member. */
async function giveToGroup(file: string, gid: number, { path, use, codes }: SocketFileInit): Promise<void> {
  try {
    await chown(file, process.geteuid?.() ?? 0, gid)
  } catch (cause) {
    if (systemErrorCode(cause) !== 'EPERM') throw cause
    throw new PagemeshError(codes.unusable, `The ${use} ${path} cannot be given to group ${gid}: ` +
      'the agent\'s user is not in it.', {
      fault: 'host', phase: 'start', data: { path, gid }, cause,
      advice: 'Leave the group out, as libvirt itself gives a socket to the user of its QEMUs; or make the agent\'s ' +
        'user a member (usermod --append --groups) and start the agent again.',
    })
  }
}

/** Another process may have replaced it meanwhile: its socket is not ours to remove. */
async function removeSame(path: string, inode: number): Promise<void> {
  // A file that is gone or unreadable is left.
  const file = await lstat(path).catch(() => undefined)
  if (file?.ino === inode) await rm(path, { force: true })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Undefined if a process listens. */
function connectErrorCode(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (error) => resolve(systemErrorCode(error) ?? 'unknown cause'))
  })
}

function unusable(
  { path, use, codes }: Omit<SocketFileInit, 'mode' | 'gid'>, why: string, cause?: unknown,
): PagemeshError {
  return new PagemeshError(codes.unusable, `The ${use} ${path} cannot be used: ${why}.`, {
    fault: 'host', phase: 'start', data: { path }, ...(cause === undefined ? {} : { cause }),
    advice: 'Check that its directory may be written to, or set another path.',
  })
}
