/**
 * A directory in which a QEMU and its agent create sockets for each other.
 *
 *   handoff-xxxxxxxxxxxx/    only the agent may write it; other users may enter it while it is open
 *     xxxxxxxxxxxxxxxxxxxxxx/    QEMU creates its sockets here; the name is secret
 *
 * The agent owns both: changing the owner would take CAP_CHOWN. A QEMU of another user adds its sockets to the inner
 * directory, which is sticky: only the agent can remove other users' files.
 */
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'

import { requireUnexposed } from '../host/exposure.ts'
import { SOCKET_PATH_BYTES_MAX } from '../host/longpath.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'

export interface Room {
  /** Writable by the agent alone. */
  readonly path: string
  /** QEMU creates its sockets here. */
  readonly inside: string
  /** Lets no other user enter any more. */
  shut(): Promise<void>
  open(): Promise<void>
  /** Idempotent. */
  remove(): Promise<void>
}

const PREFIX = 'handoff-'
/** Too long to guess, short enough for a socket's path. */
const SECRET_BYTES = 16
const NAME_BYTES = 6
/** The longest name in a room. */
const SOCKET_NAME_BYTES_MAX = 4
const SHUT = 0o700
const OPEN = 0o711
/** Write and search for all, without read, and sticky: others may add files but not list or remove them. */
const ADDED_TO = 0o1733
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/**
 * Creates an open room for a QEMU of user `uid`. Throws PagemeshError `directory-exposed`, `socket-path-too-long`.
 */
export async function makeRoom(
  { random }: { random: Random }, { directory, uid }: { directory: string; uid: number },
): Promise<Room> {
  await requireUnexposed(directory, 'where the agent meets its guests')
  const path = join(directory, PREFIX + Buffer.from(random.bytes(NAME_BYTES)).toString('hex'))
  const inside = join(path, Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url'))
  const bytes = Buffer.byteLength(inside) + SOCKET_NAME_BYTES_MAX
  if (bytes > SOCKET_PATH_BYTES_MAX) throw pathTooLong(directory, bytes - SOCKET_PATH_BYTES_MAX)
  await mkdir(path, { mode: SHUT })
  await mkdir(inside, { mode: SHUT })
  if (uid !== process.geteuid?.()) await setMode(inside, ADDED_TO)
  await setMode(path, OPEN)
  let removing: Promise<void> | undefined
  return {
    path, inside,
    shut: () => setMode(path, SHUT), open: () => setMode(path, OPEN), remove: () => removing ??= removeRoom(path),
  }
}

/** Removes the rooms that a killed agent left in its directory. */
export async function removeStaleRooms(directory: string): Promise<void> {
  // A directory that cannot be listed counts as empty.
  for (const entry of await readdir(directory).catch(() => [])) {
    if (entry.startsWith(PREFIX)) await removeRoom(join(directory, entry))
  }
}

/**
 * Shuts both directories first: from then on no other user can move files, so that paths stay valid. Directories of
 * other users that are not empty stay; links are not followed.
 */
async function removeRoom(path: string): Promise<void> {
  const room = await lstatOrNothing(path)
  if (room?.isDirectory() !== true || room.uid !== process.geteuid?.()) return
  await clear(path, 2)
}

/** Removes a directory with the files in it, and in directories of it as deep as `levels` says. */
async function clear(path: string, levels: number): Promise<void> {
  if (levels > 0) {
    await setMode(path, SHUT)
    for (const name of await readdir(path)) {
      const inside = join(path, name)
      if ((await lstatOrNothing(inside))?.isDirectory() === true) await clear(inside, levels - 1)
      else await removeFile(inside)
    }
  }
  await removeEmpty(path)
}

async function setMode(path: string, mode: number): Promise<void> {
  await using directory = await open(path, DIRECTORY)
  await directory.chmod(mode)
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    // QEMU removes its socket when it stops listening.
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

async function removeEmpty(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (error) {
    // It stays, closed to all other users.
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
