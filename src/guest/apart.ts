/**
 * A QEMU that does not see the agent's directory, as in a container or after `-chroot`. Nothing is put among its files:
 * whoever owns the container could replace it by a link, which the agent would follow with its rights. QEMU gets one
 * end of a pair of connected sockets over its QMP connection instead, so nobody else can be at that end. QEMU takes
 * one such connection for a migration. A post-copy that was cut could not be resumed, because QEMU may then take no
 * descriptor; it is refused beforehand, as are several channels.
 */
import { closeSync } from 'node:fs'

import type { Endpoint } from '../net/endpoint.ts'
import { canPassDescriptors, connectedPair } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { countOfChannels, type BesideChannels } from './channels.ts'
import type { MigrationMode } from './migration.ts'
import type { QmpSession } from './qmpsession.ts'
import { openHandedEndpoint } from './socketendpoint.ts'

/** How QEMU calls the descriptor that it got; a later one of this name replaces an earlier. */
const NAME = 'pagemesh'

export interface ApartGuest {
  guest: string
  pid: number
  /** The agent's directory. */
  directory: string
}

/** Why a QEMU that is apart cannot be handed over like this; undefined if it can. */
export function apartRefusal(
  { guest, pid, directory }: ApartGuest, { mode, beside }: { mode: MigrationMode; beside: BesideChannels },
  canPass = canPassDescriptors(),
): PagemeshError | undefined {
  const channels = countOfChannels(beside)
  if (mode === 'precopy' && channels === 1 && canPass) return undefined
  const [why, otherwise] = mode === 'postcopy'
    ? ['a post-copy that was cut could not be resumed', 'Or use pre-copy.']
    : canPass
      ? [`it can take one channel and not ${channels}`, 'Or move the guest with --channels 1.']
      : ['this agent has no kernel add-on to pass it a connection', 'Or install a C compiler and run `npm rebuild`.']
  return new PagemeshError('guest-apart',
    `The QEMU of ${guest} (process ${pid}) does not see ${directory}, as in a container or after -chroot: ${why}.`, {
      fault: 'guest', phase: 'preparing', data: { guest, pid, directory },
      advice: `Let it see that directory at the same path: mount it into the container. ${otherwise}`,
    })
}

/**
 * Connects QEMU with this agent, and has `tell` say so to QEMU, by the address that it is given. Resolves to the
 * agent's end.
 */
export async function meetOverQmp(
  qmp: Pick<QmpSession, 'passDescriptor'>, tell: (address: string) => Promise<unknown>,
): Promise<Endpoint> {
  const [fd, theirs] = connectedPair()
  const endpoint = openHandedEndpoint({ fd, early: new Uint8Array(0) })
  try {
    await passOnce(qmp, NAME, theirs)
    await tell(`fd:${NAME}`)
    return endpoint
  } catch (error) {
    endpoint.destroy()
    throw error
  }
}

/** Passes a descriptor, and closes it here whether it was passed or not. */
export async function passOnce(
  qmp: Pick<QmpSession, 'passDescriptor'>, name: string, fd: number,
): Promise<void> {
  try {
    await qmp.passDescriptor(name, fd)
  } finally {
    closeSync(fd)
  }
}
