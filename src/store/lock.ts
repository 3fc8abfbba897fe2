import { constants, link, lstat, mkdtemp, open, rename, rm, statfs } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'

import { NFS } from '../host/filesystem.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

const NAME = 'store.lock'
/** How long a holder may take to tell its name, ms. */
const ANSWER_MS = 1000
const ANSWER_CHARS_MAX = 100
/** Several agents may take over a dead holder's lock at the same time: this many attempts are made. */
const ATTEMPTS_MAX = 5

export interface StoreLock {
  release(): Promise<void>
}

/**
 * Locks a directory for this process by a socket in it, at which the holder listens. The kernel closes it when the
 * holder ends, however it ends, and other containers see it too; a file with a process id offers neither. Throws
 * PagemeshError `store-in-use`, which names the holder, `store-unusable` if the socket cannot be made or is on NFS.
 */
export async function lockStore(components: { clock: Clock }, directory: string): Promise<StoreLock> {
  try {
    refuseNetwork(directory, (await statfs(directory)).type)
    return await lock(components.clock, directory)
  } catch (error) {
    throw error instanceof PagemeshError ? error : unlockable(directory, systemErrorCode(error) ?? String(error), error)
  }
}

/**
 * Throws PagemeshError `store-unusable` if `type`, of statfs(2), is NFS. To another host the socket looks dead, so that
 * it would take the lock of a living agent; and a read waits for the server in the agent's own thread.
 */
export function refuseNetwork(directory: string, type: number): void {
  if (type !== NFS) return
  throw new PagemeshError('store-unusable', `The page store in ${directory} is on NFS, where no lock holds.`, {
    fault: 'host', phase: 'start', data: { path: directory },
    advice: 'Set `store.path` to a directory on a disk of this host.',
  })
}

async function lock(clock: Clock, directory: string): Promise<StoreLock> {
  await using folder = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  // A socket's path is limited to 107 bytes; this one is short wherever the directory is.
  const within = `/proc/self/fd/${folder.fd}`
  const own = await mkdtemp(join(within, '.lock-'))
  const server = createServer((socket) => {
    // A client that leaves before the answer is no concern of the holder.
    socket.on('error', () => undefined)
    socket.end(`process ${process.pid}`)
  })
  try {
    await listen(server, join(own, 's'))
    await claim(clock, { directory, within, own })
    const { ino } = await lstat(join(own, 's'))
    return { release: () => release(server, join(directory, NAME), ino) }
  } catch (error) {
    server.close()
    throw error
  } finally {
    // A leftover is harmless; an error here would leave a lock that nobody releases.
    await rm(own, { recursive: true, force: true }).catch(() => undefined)
  }
}

interface Claim {
  directory: string
  /** A short path to the same directory. */
  within: string
  /** A directory in it that only we use, with our socket. */
  own: string
}

async function claim(clock: Clock, { directory, within, own }: Claim): Promise<void> {
  const path = join(within, NAME)
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const code = await link(join(own, 's'), path).then(() => undefined, systemErrorCode)
    if (code === undefined) return
    if (code !== 'EEXIST') throw unlockable(directory, code)
    const holder = await askHolder(clock, path)
    if (holder !== undefined) throw inUse(directory, holder)
    await removeDead(clock, { directory, within, own })
  }
  throw inUse(directory, 'an agent that starts')
}

/** Removes a dead holder's lock. If another agent has replaced it meanwhile, that agent's lock is put back. */
async function removeDead(clock: Clock, { directory, within, own }: Claim): Promise<void> {
  const dead = join(own, 'dead')
  const path = join(within, NAME)
  const code = await rename(path, dead).then(() => undefined, systemErrorCode)
  if (code === 'ENOENT') return
  if (code !== undefined) throw unlockable(directory, code)
  const holder = await askHolder(clock, dead)
  if (holder !== undefined) {
    // Fails if yet another agent has the lock by now: the store is in use either way.
    await link(dead, path).catch(() => undefined)
    throw inUse(directory, holder)
  }
  await rm(dead, { force: true, recursive: true })
}

/** The name that the listener at `path` tells; undefined if there is no listener. */
function askHolder(clock: Clock, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(path)
    const finish = (holder: string | undefined): void => {
      timer.cancel()
      socket.destroy()
      resolve(holder)
    }
    const timer = clock.after(ANSWER_MS, () => finish('a process that does not answer'))
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => { answer = (answer + text).slice(0, ANSWER_CHARS_MAX) })
    socket.once('end', () => finish(answer === '' ? 'a process that does not answer' : answer))
    socket.once('error', (error) => {
      const isAlive = systemErrorCode(error) === 'EAGAIN' || systemErrorCode(error) === 'ECONNRESET'
      finish(isAlive ? 'a process that does not answer' : undefined)
    })
  })
}

function listen(server: Server, path: string): Promise<void> {
  server.unref()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Nobody replaces a living holder's lock, so this one is ours, unless someone tidied up by hand. */
async function release(server: Server, path: string, inode: number): Promise<void> {
  // A file that is gone or unreadable is left.
  const found = await lstat(path).catch(() => undefined)
  if (found?.ino === inode) await rm(path, { force: true })
  await new Promise((resolve) => server.close(resolve))
}

function inUse(directory: string, holder: string): PagemeshError {
  return new PagemeshError('store-in-use', `The page store in ${directory} is in use by ${holder}.`, {
    fault: 'host', phase: 'start', data: { path: directory, holder },
    advice: 'Stop that agent first, or give this one another `store.path`.',
  })
}

function unlockable(directory: string, code: string, cause?: unknown): PagemeshError {
  return new PagemeshError('store-unusable', `The page store in ${directory} cannot be locked: ${code}.`, {
    fault: 'host', phase: 'start', data: { path: directory }, cause,
    advice: 'Check that the directory may be written to and is on a local file system.',
  })
}
