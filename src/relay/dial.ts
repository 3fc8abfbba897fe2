import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'

import { createSocketEndpoint } from '../guest/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import { formatRelayAddress, type RelayAddress } from './address.ts'

/**
 * Linux's O_PATH: a descriptor that only names a file, which is neither read nor followed. Node has no constant for it.
 */
const PATH_ONLY = 0o10000000
const STEP = PATH_ONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/**
 * Connects to a waiting QEMU. Links on the way to a socket are not followed, so that the dialled socket is the allowed
 * one, whoever may write its directory. Throws PagemeshError `not-dialled`; the signal ends only the connecting.
 */
export async function dial(address: RelayAddress, signal: AbortSignal): Promise<Endpoint> {
  try {
    if (address.kind === 'tcp') return await connectTo({ host: address.host, port: address.port }, signal)
    await using file = await openWithoutLinks(address.path)
    if (!(await file.stat()).isSocket()) throw new Error('it is no socket')
    // By its descriptor: a file put in its place meanwhile was not checked.
    return await connectTo({ path: nameOf(file) }, signal)
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    const why = systemErrorCode(cause) ?? (cause instanceof Error ? cause.message : 'unknown cause')
    const message = `nothing could be reached at ${formatRelayAddress(address)} there (${why}).`
    throw new PagemeshError('not-dialled', message, {
      fault: 'peer', phase: 'preparing', cause,
      advice: 'The destination QEMU must wait at that address before the source connects.',
    })
  }
}

async function openWithoutLinks(path: string): Promise<FileHandle> {
  const names = path.slice(1).split('/')
  const last = names.pop()!
  let directory = await open('/', STEP)
  try {
    for (const name of names) {
      const next = await open(`${nameOf(directory)}/${name}`, STEP)
      await directory.close()
      directory = next
    }
    return await open(`${nameOf(directory)}/${last}`, PATH_ONLY | constants.O_NOFOLLOW)
  } finally {
    await directory.close()
  }
}

function nameOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`
}

function connectTo(to: { path: string } | { host: string; port: number }, signal: AbortSignal): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ ...to, allowHalfOpen: true })
    // Before it connects, so that nothing is read until a reader asks for it.
    socket.pause()
    const abort = (): void => fail(signal.reason)
    const fail = (error: unknown): void => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      reject(error)
    }
    socket.once('error', fail)
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort)
      socket.off('error', fail)
      resolve(createSocketEndpoint(socket))
    })
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
  })
}
