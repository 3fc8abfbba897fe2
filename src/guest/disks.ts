import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { descriptorOf } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { systemRandom } from '../runtime/random.ts'
import type { QmpSession } from './qmpsession.ts'
import { asList, asRecord, asText } from './qmpvalue.ts'
import { makeRoom } from './room.ts'

export interface DiskOwner {
  /** A directory of the agent: a room is created in it and removed. */
  directory: string
  /** Whether QEMU does not see that directory. */
  isApart: boolean
  /** QEMU's user id. */
  uid: number
}

const EXPORT_TIMEOUT_MS = 5_000
const ASK_EVERY_MS = 10
/** How QEMU calls a listening socket that it gets. */
const LISTENER = 'pagemesh-listener'

/**
 * Makes QEMU activate the disks of a guest that does not run, as `cont` does for one that is let run. Otherwise the
 * disks of a guest that arrived paused stay inactive, and QEMU before 10.0 aborts when such a guest migrates again.
 * QEMU 10.0 has a command for it. Earlier versions activate a block node before they export it, so each node is
 * exported for a moment, read-only, to a socket that QEMU creates. QEMU has only one NBD server: if the operator uses
 * it, a vhost-user export with its own socket does the same. QEMU does not report whether an export activated the node:
 * see `isTaken` in images.ts. Throws QEMU's refusal.
 */
export async function activateDisks(
  { qmp, clock }: { qmp: QmpSession; clock: Clock }, { directory, uid, isApart }: DiskOwner,
): Promise<void> {
  if (qmp.version.major >= 10) {
    await qmp.execute('blockdev-set-active', { active: true })
    return
  }
  const nodes = await queryNodes(qmp)
  if (nodes.length === 0) return
  const room = await makeRoom({ random: systemRandom }, { directory, uid })
  try {
    const listen = isApart ? (path: string) => passListener(qmp, path) : listenItself
    await exportEach({ qmp, clock }, nodes, (name) => listen(join(room.inside, name)))
  } finally {
    await room.remove()
  }
}

interface BlockNode {
  name: string
  /** Whether a device of the guest uses it. Nodes below such a node are activated with it. */
  hasDevice: boolean
}

async function queryNodes(qmp: QmpSession): Promise<BlockNode[]> {
  const attached = asList(await qmp.execute('query-block'))
    .map((device) => asText(asRecord(asRecord(device)['inserted'])['node-name'])).filter((name) => name !== '')
  const others = asList(await qmp.execute('query-named-block-nodes'))
    .map((node) => asText(asRecord(node)['node-name'])).filter((name) => !attached.includes(name))
  return [...attached.map((name) => ({ name, hasDevice: true })), ...others.map((name) => ({ name, hasDevice: false }))]
}

/** QEMU's words for where it is to listen. */
type Listener = { type: 'unix'; path: string } | { type: 'fd'; str: string }

async function listenItself(path: string): Promise<Listener> {
  return { type: 'unix', path }
}

/** Listens at a path and passes that to QEMU; from then on the path leads nowhere. */
async function passListener(qmp: QmpSession, path: string): Promise<Listener> {
  const server = createServer().listen(path)
  try {
    await once(server, 'listening')
    const fd = descriptorOf(server)
    assert(fd !== undefined, 'a server that listens has a descriptor')
    await qmp.passDescriptor(LISTENER, fd)
  } finally {
    server.close()
  }
  return { type: 'fd', str: LISTENER }
}

async function exportEach(
  components: { qmp: QmpSession; clock: Clock }, nodes: readonly BlockNode[],
  listen: (name: string) => Promise<Listener>,
): Promise<void> {
  const { qmp } = components
  const { type, ...data } = await listen('n')
  const hasServer = await succeeds(qmp.execute('nbd-server-start', { addr: { type, data } }))
  try {
    for (const [index, { name, hasDevice }] of nodes.entries()) {
      const kind = hasServer
        ? { type: 'nbd' }
        : { type: 'vhost-user-blk', addr: await listen(String(index)) }
      const settings = { id: `pagemesh-${index}`, 'node-name': name, writable: false, ...kind }
      // Nodes below another one refuse, and need no export.
      if (hasDevice) await exportOnce(components, settings)
      else await succeeds(exportOnce(components, settings))
    }
  } finally {
    if (hasServer) await qmp.execute('nbd-server-stop')
  }
}

async function exportOnce(
  { qmp, clock }: { qmp: QmpSession; clock: Clock }, settings: Record<string, unknown> & { id: string },
): Promise<void> {
  await qmp.execute('block-export-add', settings)
  await qmp.execute('block-export-del', { id: settings.id, mode: 'hard' })
  const deadline = clock.now() + EXPORT_TIMEOUT_MS
  const isThere = async (): Promise<boolean> => asList(await qmp.execute('query-block-exports'))
    .some((entry) => asText(asRecord(entry)['id']) === settings.id)
  while (clock.now() < deadline && await isThere()) await clock.sleep(ASK_EVERY_MS)
}

/** Whether the command succeeded; false if QEMU refused it. */
async function succeeds(command: Promise<unknown>): Promise<boolean> {
  try {
    await command
    return true
  } catch (error) {
    if (error instanceof PagemeshError && error.code === 'qmp-error') return false
    throw error
  }
}
