/**
 * Finds the process at the other end of a UNIX connection. The addon asks the kernel; without the addon, `ss` reads the
 * kernel's tables.
 */
import { execFile } from 'node:child_process'
import type { Socket } from 'node:net'

import { descriptorOf, peerProcess } from '../page/index.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { socketInode, unixSocketsOf } from './unixsockets.ts'

const ANSWER_MS_MAX = 5_000
const ANSWER_BYTES_MAX = 1024 * 1024

/** Connected, unbound sockets of a process: those with which it connected to others. */
export function connectionsOf({ pid }: ProcessIdentity): Set<string> {
  const own = unixSocketsOf(pid).filter(({ state, path }) => state === 'connected' && path === undefined)
  return new Set(own.map(({ inode }) => inode))
}

/**
 * Whether `process` made a connection that the listener bound to `path` accepted. Without the addon, `ss` tells.
 * Without `ss` too, the process must at least have opened a new connection since `before`.
 */
export async function isFrom(
  socket: Socket, path: string, { process, before }: { process: ProcessIdentity; before: ReadonlySet<string> },
): Promise<boolean> {
  const fd = descriptorOf(socket)
  const own = fd === undefined ? undefined : socketInode(`/proc/self/fd/${fd}`)
  // The socket has been closed already.
  if (fd === undefined || own === undefined) return false
  const pid = peerProcess(fd)
  if (pid !== undefined) return pid === process.pid && isAlive(process)
  const peers = parsePeers(await listPeers(path), path).get(own)
  const theirs = connectionsOf(process)
  if (!isAlive(process)) return false
  if (peers === undefined) return [...theirs].some((inode) => !before.has(inode))
  return peers.length === 1 && theirs.has(peers[0]!)
}

/**
 * Parses the output of `ss -xnH` for the connections accepted at `path`, which has no spaces: maps each socket to its
 * peer. More than one peer for a socket means that a line was forged. Pure.
 *
 *   u_str ESTAB 0      0      /run/pagemesh/control.sock.d/handoff-0123456789ab/s 1121376 * 1121375
 */
export function parsePeers(text: string, path: string): Map<string, string[]> {
  const peers = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, local, own = '', peer = ''] = /^u_str\s+ESTAB\s+\d+\s+\d+\s+(\S+)\s+(\d+)\s.*\s(\d+)\s*$/.exec(line) ?? []
    if (local === path && peer !== '0') peers.set(own, [...peers.get(own) ?? [], peer])
  }
  return peers
}

/** The output of `ss` for the connections accepted at `path`; empty if the program is missing. */
export function listPeers(path: string): Promise<string> {
  const pattern = path.replace(/[*?[\\]/g, '\\$&')
  return new Promise((resolve) => {
    const limits = { timeout: ANSWER_MS_MAX, maxBuffer: ANSWER_BYTES_MAX }
    // An error, such as a missing program, gives empty output: callers handle that.
    execFile('ss', ['-xnH', 'src', pattern], limits, (_error, output) => resolve(output))
  })
}
