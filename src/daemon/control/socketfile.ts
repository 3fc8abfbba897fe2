import { chmod, lstat, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { dirname, join } from 'node:path'

import { PagemeshError, systemErrorCode } from '../../runtime/errors.ts'
import { requireUnexposed } from '../../runtime/exposure.ts'

/** Linux's limit of a socket's path (sun_path less its final zero). */
const PATH_BYTES_MAX = 107

/** The file that a server listens at; `remove` takes it away if it is still the same. */
export interface SocketFile {
  remove(): Promise<void>
}

/**
 * Throws PagemeshError `agent-running` if an agent answers at `path`, `control-unusable` if something else is there.
 * Nothing there, or a socket that nobody listens at, is fine.
 */
export async function requireNoAgent(path: string): Promise<void> {
  // Mostly nothing is there; what may not even be looked at, nobody can listen at, and that says why.
  const file = await lstat(path).catch(() => undefined)
  if (file === undefined) return
  if (!file.isSocket()) throw unusable(path, 'something that is no socket is there')
  const code = await connectErrorCode(path)
  if (code === undefined || code === 'EAGAIN') {
    throw new PagemeshError('agent-running', `Another agent runs already: it listens at ${path}.`, {
      fault: 'host', phase: 'start', data: { path },
      advice: 'Stop it first, or give this one another `control` socket.',
    })
  }
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') throw unusable(path, code)
}

/**
 * Lets `server` listen at `path` with mode 0600, in place of a socket that a dead agent left. The socket is made in a
 * directory that only we may enter and moved into place when its mode is right: at no time can others connect,
 * whatever the umask. Throws as `requireNoAgent` does, and `directory-exposed` where others could replace it.
 */
export async function listenAt(server: Server, path: string): Promise<SocketFile> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw unusable(path, `it is longer than ${PATH_BYTES_MAX} bytes`)
  await requireNoAgent(path)
  try {
    await mkdir(dirname(path), { recursive: true })
    await requireUnexposed(dirname(path), 'the control socket')
    // No longer than `control.sock`, so that the limit of a path is no surprise here.
    const directory = await mkdtemp(`${dirname(path)}/.`)
    try {
      const made = join(directory, 's')
      await listen(server, made)
      await chmod(made, 0o600)
      const { ino } = await lstat(made)
      await rename(made, path)
      return { remove: () => removeSame(path, ino) }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  } catch (cause) {
    if (cause instanceof PagemeshError) throw cause
    throw unusable(path, systemErrorCode(cause) ?? 'unknown cause', cause)
  }
}

/** Another agent may have taken the place meanwhile: its socket is not ours to remove. */
async function removeSame(path: string, inode: number): Promise<void> {
  // What is gone, or cannot be looked at any more, is left.
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

/** Undefined if somebody listens. */
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

function unusable(path: string, why: string, cause?: unknown): PagemeshError {
  return new PagemeshError('control-unusable', `The control socket ${path} cannot be used: ${why}.`, {
    fault: 'host', phase: 'start', data: { path }, ...(cause === undefined ? {} : { cause }),
    advice: 'Check that its directory may be written to, or set another path as `control`.',
  })
}
