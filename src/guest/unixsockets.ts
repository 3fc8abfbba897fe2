import { listOrNothing, readLinkOrNothing, readOrNothing } from './vanishing.ts'

/** A line of /proc/net/unix. */
export interface UnixSocket {
  inode: string
  state: 'listening' | 'connected' | 'other'
  /** What it was bound to, as its process said it; one that was accepted has its listener's. */
  path: string | undefined
}

const LISTENS = 0x1_0000
const CONNECTED = '03'

/**
 * Reads /proc/net/unix. A path may hold line ends, so that whoever binds it can write lines of his own: a socket that
 * stands there twice is left out. Pure.
 */
export function parseUnixSockets(text: string): UnixSocket[] {
  const sockets = new Map<string, UnixSocket>()
  const twice = new Set<string>()
  for (const match of text.matchAll(/^[0-9a-f]+: \S+ \S+ ([0-9A-F]{8}) \S+ (\S+) +(\d+)(?: (.+))?$/gm)) {
    const [, flags = '', state = '', inode = '', path] = match
    if (sockets.has(inode)) twice.add(inode)
    sockets.set(inode, { inode, path, state: stateOf(flags, state) })
  }
  return [...sockets.values()].filter(({ inode }) => !twice.has(inode))
}

/** The UNIX sockets that a process holds; none where its descriptors may not be seen. */
export function unixSocketsOf(pid: number): UnixSocket[] {
  const held = new Set(listOrNothing(`/proc/${pid}/fd`).map((fd) => socketInode(`/proc/${pid}/fd/${fd}`)))
  if (held.size === 0) return []
  return parseUnixSockets(readOrNothing(`/proc/${pid}/net/unix`) ?? '').filter(({ inode }) => held.has(inode))
}

/** The number of the socket that a descriptor is, by its link in /proc; undefined if it is none. */
export function socketInode(link: string): string | undefined {
  return /^socket:\[(\d+)\]$/.exec(readLinkOrNothing(link) ?? '')?.[1]
}

function stateOf(flags: string, state: string): UnixSocket['state'] {
  if ((Number.parseInt(flags, 16) & LISTENS) !== 0) return 'listening'
  return state === CONNECTED ? 'connected' : 'other'
}
