import { normalize, resolve } from 'node:path'

import { listOrNothing, readLinkOrNothing, readOrNothing } from './vanishing.ts'

/** A line of /proc/net/unix. */
export interface UnixSocket {
  inode: string
  state: 'listening' | 'connected' | 'other'
  /** The path that was bound, as given by the process; an accepted socket has its listener's. */
  path: string | undefined
}

const LISTENS = 0x1_0000
const CONNECTED = '03'
/** A path has at most 108 bytes (`sun_path`): the kernel prints none that is longer. */
const LINE = /^[0-9a-f]+: \S+ \S+ ([0-9A-F]{8}) \S+ (\S+) +(\d+)(?: (.{1,108}))?$/gm

/**
 * Parses /proc/net/unix. A bound path may contain line ends and so forge lines: sockets that are listed twice are left
 * out. Pure.
 */
export function parseUnixSockets(text: string): UnixSocket[] {
  const sockets = new Map<string, UnixSocket>()
  const twice = new Set<string>()
  for (const match of text.matchAll(LINE)) {
    const [, flags = '', state = '', inode = '', path] = match
    if (sockets.has(inode)) twice.add(inode)
    sockets.set(inode, { inode, path, state: stateOf(flags, state) })
  }
  return [...sockets.values()].filter(({ inode }) => !twice.has(inode))
}

/** The UNIX sockets of a process; empty if its descriptors are not accessible. */
export function unixSocketsOf(pid: number): UnixSocket[] {
  const held = new Set(listOrNothing(`/proc/${pid}/fd`).map((fd) => socketInode(`/proc/${pid}/fd/${fd}`)))
  if (held.size === 0) return []
  return parseUnixSockets(readOrNothing(`/proc/${pid}/net/unix`) ?? '').filter(({ inode }) => held.has(inode))
}

/** Whether the socket at `path` has accepted a connection that lasts; one that still waits for that does not count. */
export function servesOthers(path: string): boolean {
  return parseUnixSockets(readOrNothing('/proc/net/unix') ?? '')
    .some(({ state, path: bound }) => state === 'connected' && bound !== undefined && meansSame(path, bound))
}

/** Whether `path` is what was bound, which may be relative to another directory. Pure. */
export function meansSame(path: string, bound: string): boolean {
  if (bound.startsWith('/')) return resolve(bound) === resolve(path)
  // What leads upwards says nothing of the names above.
  const names = normalize(bound).split('/').filter((name) => name !== '..')
  return names.length > 0 && resolve(path).split('/').slice(-names.length).join('/') === names.join('/')
}

/** The inode number of a socket, from a descriptor's link in /proc; undefined if it is no socket. */
export function socketInode(link: string): string | undefined {
  return /^socket:\[(\d+)\]$/.exec(readLinkOrNothing(link) ?? '')?.[1]
}

function stateOf(flags: string, state: string): UnixSocket['state'] {
  if ((Number.parseInt(flags, 16) & LISTENS) !== 0) return 'listening'
  return state === CONNECTED ? 'connected' : 'other'
}
