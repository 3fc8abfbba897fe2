/**
 * Finds the process behind a QMP socket.
 *
 * QEMU itself reports the thread ids of its vCPUs over the connection. The socket's path proves nothing: any user can
 * bind a socket and put a link to another one in its place. The process must hold the socket, too, so that a program
 * cannot pass for another user's QEMU.
 */
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'

import { findExposure } from '../host/exposure.ts'
import { RIGHTS_ADVICE } from '../host/rights.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { pathSeenBy, readStartTicks, type ProcessIdentity } from './process.ts'
import { asCount, asList, asRecord } from './qmpvalue.ts'
import type { QmpAsker } from './status.ts'
import { meansSame, unixSocketsOf } from './unixsockets.ts'
import { linkStatOrNothing, listOrNothing, readLinkOrNothing, readOrNothing } from './vanishing.ts'

/** A process that has a thread with the reported id and holds the socket. */
export interface Claimant extends ProcessIdentity {
  uid: number
  /** Whether the thread id belongs to our own PID namespace, where it is unique. */
  isExact: boolean
}

/** Finds the process of the QEMU at `path`. Throws PagemeshError `guest-unproven`, `guest-unseen`. */
export async function findQemu(qmp: QmpAsker, path: string): Promise<ProcessIdentity> {
  const file = linkStatOrNothing(path)
  if (file === undefined) throw unseen(path)
  if (!file.isSocket()) throw unproven(path, 'it is a link, and links are not followed', 'Name the socket itself.')
  const trust = { users: [0, process.geteuid?.() ?? 0, file.uid], trustsGroups: true }
  const exposure = await findExposure(dirname(path), trust)
  if (exposure !== undefined) throw unproven(path, exposure.why, exposure.advice)
  const thread = await queryThread(qmp)
  if (thread === undefined) {
    throw unproven(path, 'QEMU names no thread of its own', 'It takes a QEMU of 2.12 or later with a processor.')
  }
  const claimants = claimantsOf(thread).filter(({ pid }) => listensAt(pid, path, file))
  return chooseClaimant(path, { socketUid: file.uid, agentUid: process.geteuid?.() ?? 0 }, claimants)
}

/**
 * The claimant whose user owns the socket; never a guess. A socket of root or of our user may belong to a QEMU that
 * changed its user later: then the thread id alone decides and must be exact. Throws as `findQemu`. Pure.
 */
export function chooseClaimant(
  path: string, { socketUid, agentUid }: { socketUid: number; agentUid: number }, claimants: readonly Claimant[],
): ProcessIdentity {
  if (claimants.length === 0) throw unseen(path)
  const mayDiffer = socketUid === 0 || socketUid === agentUid
  const fitting = claimants.filter(({ uid, isExact }) => uid === socketUid || (isExact && mayDiffer))
  const [first] = fitting
  const pids = (fitting.length === 0 ? claimants : fitting).map(({ pid }) => pid).join(', ')
  if (first === undefined) {
    throw unproven(path, `it belongs to user ${socketUid}, and the process behind it (${pids}) does not`,
      'Give the socket to the user that QEMU runs as.')
  }
  if (fitting.length > 1) {
    throw unproven(path, `several processes claim it: ${pids}`, 'Find out which of them is no QEMU, and end it.')
  }
  return { pid: first.pid, startTicks: first.startTicks }
}

export function unproven(path: string, why: string, advice: string): PagemeshError {
  const message = `The process behind the QMP socket ${path} is not known for sure: ${why}.`
  return new PagemeshError('guest-unproven', message, { fault: 'usage', advice, data: { path } })
}

/** The thread id of one vCPU, in QEMU's PID namespace. */
async function queryThread(qmp: QmpAsker): Promise<number | undefined> {
  const [processor] = asList(await qmp.execute('query-cpus-fast'))
  return asCount(asRecord(processor)['thread-id']) || undefined
}

/** All processes with a thread of this id in any PID namespace. */
function claimantsOf(thread: number): Claimant[] {
  const status = readOrNothing(`/proc/${thread}/status`) ?? ''
  const here = claimant(Number(/^Tgid:\s+(\d+)/m.exec(status)?.[1]), threadNumbers(status).length === 1)
  const elsewhere = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number)
    .filter((pid) => pid !== here[0]?.pid && isNested(pid) && hasThread(pid, thread))
  return [...here, ...elsewhere.flatMap((pid) => claimant(pid, false))]
}

/** Empty if the process has ended. */
function claimant(pid: number, isExact: boolean): Claimant[] {
  const startTicks = Number.isNaN(pid) ? undefined : readStartTicks(pid)
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(readOrNothing(`/proc/${pid}/status`) ?? '')?.[1]
  return startTicks === undefined || uid === undefined ? [] : [{ pid, startTicks, isExact, uid: Number(uid) }]
}

function isNested(pid: number): boolean {
  return threadNumbers(readOrNothing(`/proc/${pid}/status`) ?? '').length > 1
}

function hasThread(pid: number, thread: number): boolean {
  return listOrNothing(`/proc/${pid}/task`)
    .some((entry) => threadNumbers(readOrNothing(`/proc/${pid}/task/${entry}/status`) ?? '').at(-1) === thread)
}

/** A thread's ids in our PID namespace and in each nested one, its own last. */
function threadNumbers(status: string): number[] {
  return /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.trim().split(/\s+/).map(Number) ?? []
}

/**
 * Whether the process listens at `path`, which is this file. A link as the last step is not followed: links cannot be
 * bound. A process that has changed its directory since it bound a relative path, as `-daemonize` makes QEMU do, is
 * known by the end of the path; one that has changed its root since (`-chroot`), by the whole path.
 */
export function listensAt(pid: number, path: string, file: { dev: number; ino: number }): boolean {
  return unixSocketsOf(pid).some(({ state, path: bound }) => {
    if (state !== 'listening' || bound === undefined || bound.startsWith('@')) return false
    const found = linkStatOrNothing(pathSeenBy(pid, bound))
    if (found?.dev === file.dev && found.ino === file.ino) return true
    return meansSame(path, bound) && (!bound.startsWith('/') || hasChangedRoot(pid))
  })
}

/** Whether the process' root is not that of its mount namespace. A container's is: there paths lead to files. */
function hasChangedRoot(pid: number): boolean {
  return !['/', undefined].includes(readLinkOrNothing(`/proc/${pid}/root`))
}

function unseen(path: string): PagemeshError {
  return new PagemeshError('guest-unseen', `The process that listens at ${path} cannot be seen from here.`, {
    fault: 'usage',
    advice: `${RIGHTS_ADVICE} It must see the host's processes: be in its PID namespace.`,
    data: { path },
  })
}
