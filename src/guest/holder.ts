import type { Socket } from 'node:net'

import { nextTurn } from '../runtime/turn.ts'
import { unixPeer } from './peer.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { endOf, otherEnds, parseTcpConnections } from './tcpsockets.ts'
import { socketInode } from './unixsockets.ts'
import { listOrNothing, readOrNothing } from './vanishing.ts'

/** A connection that was accepted here: over TCP, or from the listener bound to `path`. */
export interface AcceptedConnection {
  socket: Socket
  path?: string
}

/**
 * The one of `candidates` that holds the other end of a connection of this host. A manager that dials hands the
 * connection to its QEMU only then, so that whoever asks too early is told of nobody. Undefined also where several hold
 * it, or where it cannot be told.
 */
export async function findHolder<Candidate extends { process: ProcessIdentity }>(
  { socket, path }: AcceptedConnection, candidates: readonly Candidate[],
): Promise<Candidate | undefined> {
  const { inodes, pid } = path === undefined ? tcpPeer(socket) : await unixPeers(socket, path)
  const maker = candidates.find(({ process }) => process.pid === pid && isAlive(process))
  if (maker !== undefined || inodes.length === 0) return maker
  const holders: Candidate[] = []
  for (const candidate of candidates) {
    if (holdsOne(candidate.process, inodes)) holders.push(candidate)
    await nextTurn()
  }
  return holders.length === 1 ? holders[0] : undefined
}

interface Peer {
  inodes: string[]
  /** Who made the connection, if that is known. */
  pid?: number | undefined
}

async function unixPeers(socket: Socket, path: string): Promise<Peer> {
  const { inode, pid } = await unixPeer(socket, path)
  return { inodes: inode === undefined ? [] : [inode], pid }
}

function tcpPeer({ remoteAddress, remotePort, localAddress, localPort }: Socket): Peer {
  // It has been closed already.
  if (remoteAddress === undefined || remotePort === undefined) return { inodes: [] }
  if (localAddress === undefined || localPort === undefined) return { inodes: [] }
  const tables = ['tcp', 'tcp6'].map((name) => readOrNothing(`/proc/self/net/${name}`) ?? '')
  const ours = { local: endOf(localAddress, localPort), remote: endOf(remoteAddress, remotePort) }
  return { inodes: otherEnds(tables.flatMap(parseTcpConnections), ours) }
}

function holdsOne(process: ProcessIdentity, inodes: readonly string[]): boolean {
  const held = listOrNothing(`/proc/${process.pid}/fd`).map((fd) => socketInode(`/proc/${process.pid}/fd/${fd}`))
  return isAlive(process) && held.some((inode) => inode !== undefined && inodes.includes(inode))
}
