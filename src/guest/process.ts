import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { PagemeshError } from '../runtime/errors.ts'
import { listOrNothing, readLinkOrNothing, readOrNothing, statOrNothing } from './vanishing.ts'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  pid: number
  /** When it began, in clock ticks since the machine booted. */
  startTicks: number
}

/** When process `pid` began, in clock ticks since boot; undefined when it has ended, reaped or not. */
export function readStartTicks(pid: number): number | undefined {
  const text = readOrNothing(`/proc/${pid}/stat`)
  // The name, in parentheses, may itself hold spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const ticks = Number(fields[19])
  return Number.isFinite(ticks) ? ticks : undefined
}

export function isAlive(process: ProcessIdentity): boolean {
  return readStartTicks(process.pid) === process.startTicks
}

/** User and group that the process acts as. Throws PagemeshError `guest-gone`. */
export function readOwner(pid: number): { uid: number; gid: number } {
  const status = readOrNothing(`/proc/${pid}/status`) ?? ''
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1]
  const gid = /^Gid:\s+\d+\s+(\d+)/m.exec(status)?.[1]
  if (uid === undefined || gid === undefined) throw processGone(pid)
  return { uid: Number(uid), gid: Number(gid) }
}

/** Arguments that the process was started with; none when it is gone. */
export function readArguments(pid: number): string[] {
  return (readOrNothing(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1)
}

export function processGone(pid: number): PagemeshError {
  return new PagemeshError('guest-gone', `The guest's process ${pid} has ended.`, { fault: 'guest', data: { pid } })
}

/**
 * The process that listens on the UNIX socket at `path`; undefined if none is visible from here.
 * Works across network and mount namespaces: a process' sockets are those of its own network namespace, and their
 * paths, which may be relative to its working directory, are looked up as it sees them.
 */
export function findListener(path: string): ProcessIdentity | undefined {
  const file = statSync(path, { throwIfNoEntry: false })
  if (file === undefined) return undefined
  const isThatFile = (candidate: string): boolean => {
    const found = statOrNothing(candidate)
    return found?.dev === file.dev && found.ino === file.ino
  }
  const listeners = new Map<string, ListeningSocket[]>()
  for (const pid of processesLikelyFirst(path)) {
    const inode = listeningSockets(pid, listeners).find((socket) => isThatFile(asSeenBy(pid, socket.path)))?.inode
    if (inode === undefined || !holdsSocket(pid, inode)) continue
    const startTicks = readStartTicks(pid)
    if (startTicks !== undefined) return { pid, startTicks }
  }
  return undefined
}

interface ListeningSocket {
  inode: string
  path: string
}

/** Reads /proc/net/unix: the listening sockets (flag 0x10000) that have a path in the file system. */
export function parseListeningSockets(text: string): ListeningSocket[] {
  const sockets: ListeningSocket[] = []
  for (const match of text.matchAll(/^\S+: \S+ \S+ ([0-9A-F]{8}) \S+ \S+ +(\d+) ([^@\n].*)$/gm)) {
    if ((Number.parseInt(match[1]!, 16) & 0x1_0000) !== 0) sockets.push({ inode: match[2]!, path: match[3]! })
  }
  return sockets
}

/** The listening sockets of the process' network namespace; read once a namespace. */
function listeningSockets(pid: number, known: Map<string, ListeningSocket[]>): ListeningSocket[] {
  const namespace = readLinkOrNothing(`/proc/${pid}/ns/net`)
  if (namespace === undefined) return []
  const before = known.get(namespace)
  if (before !== undefined) return before
  const sockets = parseListeningSockets(readOrNothing(`/proc/${pid}/net/unix`) ?? '')
  known.set(namespace, sockets)
  return sockets
}

function asSeenBy(pid: number, path: string): string {
  return path.startsWith('/') ? join(`/proc/${pid}/root`, path) : join(`/proc/${pid}/cwd`, path)
}

/** All processes; first those that call themselves QEMU, so that the rest need hardly ever be looked at. */
function processesLikelyFirst(path: string): number[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number)
  const isLikely = (pid: number): boolean => {
    const text = readOrNothing(`/proc/${pid}/cmdline`) ?? ''
    return /qemu|kvm/i.test(text) || text.includes(path)
  }
  const likely = new Set(pids.filter(isLikely))
  return [...likely, ...pids.filter((pid) => !likely.has(pid))]
}

function holdsSocket(pid: number, inode: string): boolean {
  const descriptors = `/proc/${pid}/fd`
  return listOrNothing(descriptors).some((fd) => readLinkOrNothing(`${descriptors}/${fd}`) === `socket:[${inode}]`)
}
