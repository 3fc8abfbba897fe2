/**
 * Requests among the hosts of docker-compose.yml outside the mesh, as an operator's tools would make them: start a
 * waiting QEMU for a guest, and ask how a guest does. One request and one answer per connection, each a JSON text up to
 * the end of its direction, over a UNIX socket in a volume that only these containers have.
 */
import { rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { asPagemeshError } from '../../src/runtime/errors.ts'
import { LabError } from '../laberror.ts'
import type { GuestSpec } from './settings.ts'

/** The hosts' shared directory: their sockets, and the cluster key. */
export const CLUSTER_DIRECTORY = '/cluster'

export type HostRequest =
  /** Resolves to the names of the guests that run here. */
  | { ask: 'guests' }
  /** Resolves to the guest's spec once it may leave: it is ready, and the census knows its pages. */
  | { ask: 'leave'; guest: string }
  /** Starts a waiting QEMU for the guest; resolves when the agent has seen it. */
  | { ask: 'expect'; guest: GuestSpec }
  /** Resolves to the guest's last heartbeat: now, or after `more` further ones. */
  | { ask: 'beats'; guest: string; more: number }
  /** Ends a QEMU whose guest has left or never arrived. Resolves to whether it was ended. */
  | { ask: 'end'; guest: string }
  /** Resolves once all guests are ready, the mesh is whole and the census is done; rejects with what is missing. */
  | { ask: 'health' }

/** Serves this host's socket until the process ends. */
export async function serveHost(name: string, answer: (request: HostRequest) => Promise<unknown>): Promise<Server> {
  const path = socketOf(name)
  // Left by a container that was killed.
  rmSync(path, { force: true })
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // A client that hangs up needs no answer.
    socket.on('error', () => socket.destroy())
    text(socket).then((request) => answer(JSON.parse(request) as HostRequest)).then(
      (result) => socket.end(JSON.stringify({ result: result ?? null })),
      (error: unknown) => socket.end(JSON.stringify({ error: asPagemeshError(error).message })),
    )
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  return server
}

/** Asks a host. Throws LabError `host-refused` with its message, `host-absent` if it does not answer. */
export async function askHost<Result>(name: string, request: HostRequest): Promise<Result> {
  const socket = connect({ path: socketOf(name), allowHalfOpen: true })
  try {
    socket.end(JSON.stringify(request))
    const answer = JSON.parse(await text(socket)) as { result: Result; error?: string }
    if (answer.error === undefined) return answer.result
    throw new LabError('host-refused', `${name}: ${answer.error}`)
  } catch (cause) {
    if (cause instanceof LabError) throw cause
    throw new LabError('host-absent', `No host answers by the name ${name}.`, {
      advice: 'See `docker compose ps`.', cause,
    })
  } finally {
    socket.destroy()
  }
}

function socketOf(name: string): string {
  return join(CLUSTER_DIRECTORY, `${name}.sock`)
}
