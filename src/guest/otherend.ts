/** Finds the process at the other end of an accepted connection, for streams that other processes begin. */
import { isIPv4, type Socket } from 'node:net'

import { descriptorOf, peerProcess } from '../page/index.ts'
import { listPeers, parsePeers } from './peer.ts'
import type { ProcessIdentity } from './process.ts'
import { socketInode } from './unixsockets.ts'
import { listOrNothing, readOrNothing } from './vanishing.ts'

export interface OtherEnd {
  /** The process that connected. It may have passed the connection on, as libvirtd does to QEMU. */
  pid: number | undefined
  /** Inode number of its socket; undefined if the kernel does not tell. */
  inode: string | undefined
}

/** @param path of a UNIX listener. */
export async function otherEndOf(socket: Socket, path?: string): Promise<OtherEnd> {
  const fd = descriptorOf(socket)
  if (fd === undefined) return { pid: undefined, inode: undefined }
  if (path !== undefined) {
    const pid = peerProcess(fd)
    const own = socketInode(`/proc/self/fd/${fd}`)
    const peers = own === undefined ? undefined : parsePeers(await listPeers(path), path).get(own)
    return { pid, inode: peers?.length === 1 ? peers[0] : undefined }
  }
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return { pid: undefined, inode: undefined }
  const tables = ['tcp', 'tcp6'].map((name) => readOrNothing(`/proc/self/net/${name}`) ?? '').join('\n')
  return { pid: undefined, inode: inodeAt(tables, remoteAddress, remotePort) }
}

/** Whether the process holds the socket. */
export function holdsSocket({ pid }: ProcessIdentity, inode: string): boolean {
  return listOrNothing(`/proc/${pid}/fd`).some((fd) => socketInode(`/proc/${pid}/fd/${fd}`) === inode)
}

/**
 * Inode of the socket with this local address, from /proc/net/tcp and /proc/net/tcp6; undefined if there is none, or
 * more than one. The remote address is not compared: NAT may have changed it. Pure.
 *
 *    1: 0100007F:9C41 0200407F:5014 01 00000000:00000000 00:00000000 00000000  0  0 1121375 1 ...
 */
export function inodeAt(tables: string, address: string, port: number): string | undefined {
  const wanted = formsOf(address).map((form) => `${form}:${port.toString(16).toUpperCase().padStart(4, '0')}`)
  const inodes = new Set<string>()
  for (const match of tables.matchAll(/^ *\d+: ([0-9A-F]+:[0-9A-F]{4}) \S+ 01 (?:\S+ +){3}\d+ +\d+ (\d+) /gm)) {
    const [, local = '', inode = ''] = match
    if (wanted.includes(local) && inode !== '0') inodes.add(inode)
  }
  return inodes.size === 1 ? [...inodes][0] : undefined
}

/** An address in the tables' form: words of four bytes in reverse byte order. */
function formsOf(address: string): string[] {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '')
  if (!isIPv4(plain)) return [backwards(bytesOfIpv6(plain))]
  const form = backwards(Buffer.from(plain.split('.').map(Number)))
  return [form, `0000000000000000FFFF0000${form}`]
}

function backwards(bytes: Buffer): string {
  return Buffer.from(bytes).swap32().toString('hex').toUpperCase()
}

function bytesOfIpv6(address: string): Buffer {
  const [before = '', after] = address.split('%')[0]!.split('::')
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const [head, tail] = [words(before), words(after ?? '')]
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0')
  const all = [...head, ...(after === undefined ? [] : zeros), ...tail]
  return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex')
}
