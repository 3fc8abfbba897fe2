/**
 * A room where a QEMU and its agent make sockets for each other.
 *
 *   handoff-xxxxxxxxxxxx/    the agent's: nobody else writes it; the others may enter it while it is open
 *     xxxxxxxxxxxxxxxxxxxxxx/    where QEMU may make sockets; whoever does not know the name does not find it
 *
 * Nothing is given away or made accessible by a path that another user can change: the inner directory is, while the
 * room is shut; afterwards it is only taken back, by its descriptor.
 */
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rmdir, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import { requireUnexposed } from '../runtime/exposure.ts'
import type { Random } from '../runtime/random.ts'

export interface Room {
  /** Only we write it. */
  readonly path: string
  /** QEMU makes its sockets here. */
  readonly inside: string
  /** Keeps everybody out who does not stand inside already. */
  shut(): Promise<void>
  open(): Promise<void>
  /** Idempotent. */
  remove(): Promise<void>
}

const PREFIX = 'handoff-'
/** Beyond guessing, in as few characters as a path has room for. */
const SECRET_BYTES = 16
const NAME_BYTES = 6
/** What the kernel allows in a socket's path, less the terminating zero, and the longest name in a room. */
const SOCKET_PATH_BYTES_MAX = 107
const SOCKET_NAME_BYTES_MAX = 4
const SHUT = 0o700
const OPEN = 0o711
/** Whoever finds it may add something, and nobody removes what is another's. */
const ADDED_TO = 0o1733
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/** Makes a room that is open. Throws PagemeshError `directory-exposed`, `socket-path-too-long`. */
export async function makeRoom(
  { random }: { random: Random }, { directory, owner }: { directory: string; owner: { uid: number; gid: number } },
): Promise<Room> {
  await requireUnexposed(directory, 'where the agent meets its guests')
  const path = join(directory, PREFIX + Buffer.from(random.bytes(NAME_BYTES)).toString('hex'))
  const inside = join(path, Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url'))
  const bytes = Buffer.byteLength(inside) + SOCKET_NAME_BYTES_MAX
  if (bytes > SOCKET_PATH_BYTES_MAX) throw pathTooLong(directory, bytes - SOCKET_PATH_BYTES_MAX)
  await mkdir(path, { mode: SHUT })
  await mkdir(inside, { mode: SHUT })
  await using inner = await open(inside, DIRECTORY)
  await admit(inner, owner)
  const change = async (mode: number): Promise<void> => {
    await using outer = await open(path, DIRECTORY)
    await outer.chmod(mode)
  }
  await change(OPEN)
  let removing: Promise<void> | undefined
  return {
    path, inside, shut: () => change(SHUT), open: () => change(OPEN), remove: () => removing ??= removeRoom(path),
  }
}

/** Removes the rooms that a killed agent left in its directory. */
export async function removeStaleRooms(directory: string): Promise<void> {
  // What cannot be listed has nothing that could be removed.
  for (const entry of await readdir(directory).catch(() => [])) {
    if (entry.startsWith(PREFIX)) await removeRoom(join(directory, entry))
  }
}

/** Lets QEMU's user make sockets in a directory. */
async function admit(inner: FileHandle, { uid, gid }: { uid: number; gid: number }): Promise<void> {
  if (process.geteuid?.() === uid) return
  try {
    await inner.chown(uid, gid)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code !== 'EPERM' && code !== 'EINVAL') throw error
    // An agent with few rights cannot give it away: the secret name keeps the others out.
    await inner.chmod(ADDED_TO)
  }
}

/**
 * Takes the inner directory back first: from then on nobody else can change what is where, and a path means what it
 * meant a moment ago. Directories that others left in there with something in them stay; nothing is followed.
 */
async function removeRoom(path: string): Promise<void> {
  const room = await lstatOrNothing(path)
  if (room?.isDirectory() !== true || room.uid !== process.geteuid?.()) return
  await takeBack(path)
  for (const name of await readdir(path)) {
    const inside = join(path, name)
    if ((await lstatOrNothing(inside))?.isDirectory() === true) await empty(inside)
    else await removeFile(inside)
  }
  await removeEmpty(path)
}

async function empty(inside: string): Promise<void> {
  await takeBack(inside)
  for (const name of await readdir(inside)) {
    const left = join(inside, name)
    if ((await lstatOrNothing(left))?.isDirectory() === true) await removeEmpty(left)
    else await removeFile(left)
  }
  await removeEmpty(inside)
}

async function takeBack(path: string): Promise<void> {
  await using directory = await open(path, DIRECTORY)
  const { uid } = await directory.stat()
  if (uid !== process.geteuid?.()) await directory.chown(process.geteuid!(), process.getegid!())
  await directory.chmod(SHUT)
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    // QEMU removes its own when it stops listening.
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

async function removeEmpty(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (error) {
    // It stays, shut to everybody but us.
    if (systemErrorCode(error) !== 'ENOTEMPTY') throw error
  }
}

export async function lstatOrNothing(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function pathTooLong(directory: string, bytes: number): PagemeshError {
  const message = `Sockets in ${directory} would have paths that are ${bytes} bytes too long.`
  return new PagemeshError('socket-path-too-long', message, {
    fault: 'usage', phase: 'preparing', advice: 'Put the control socket into a directory with a shorter path.',
  })
}
