import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { isUnspecifiedHost } from '../../net/hostport.ts'
import { PagemeshError } from '../../runtime/errors.ts'

/** The known addresses of a member. */
export interface MemberHosts {
  /** Where its connection comes from, or where it was dialed: address or name. */
  connected: string | undefined
  /** Addresses and names that it announced. */
  announced: readonly string[]
}

/**
 * The address at which a member's lane is dialed: one of its own, never another's, so that no member can make this host
 * connect anywhere. A name is looked up here, once: the address that was checked is the one dialed. Throws
 * PagemeshError `lane-foreign`.
 */
export async function laneHost(
  host: string, member: MemberHosts, resolve: (name: string) => Promise<string[]> = addressesOf,
): Promise<string> {
  const { connected } = member
  if (connected === undefined) throw foreign(host)
  // A host that listens on all addresses is dialed where the mesh reaches it.
  if (isUnspecifiedHost(host) || host === connected) return connected
  const ownAddresses = isIP(connected) === 0 ? await resolve(connected) : [connected]
  const found = isIP(host) === 0 ? await resolve(host) : [host]
  const isAnnounced = member.announced.some((announced) => plainHost(announced) === plainHost(host))
  const chosen = found.find((address) => mayDial(address, ownAddresses, isAnnounced))
  if (chosen === undefined) throw foreign(host)
  return chosen
}

/** Whether a lane may be dialed at this address. Pure. */
export function mayDial(address: string, ownAddresses: readonly string[], isAnnounced: boolean): boolean {
  if (ownAddresses.some((own) => plainHost(own) === plainHost(address))) return true
  // A member connected over loopback runs on this machine, whatever address it listens at.
  if (isLoopback(plainHost(address)) && ownAddresses.some((own) => isLoopback(plainHost(own)))) return true
  // An announcement cannot make an address of this machine or of this link a member's own.
  return isAnnounced && !isNearby(plainHost(address))
}

function isLoopback(address: string): boolean {
  return /^(127\.|::1$)/.test(address)
}

/** Loopback, link-local and unspecified addresses mean something else on each machine. */
function isNearby(address: string): boolean {
  return /^(0\.|127\.|169\.254\.)|^(::1?$|fe[89ab])/i.test(address)
}

/** An address or a name as it compares: IPv4 in IPv6 as IPv4, without a zone. Pure. */
export function plainHost(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '')
}

async function addressesOf(name: string): Promise<string[]> {
  // A name without an address is refused.
  return (await lookup(name, { all: true }).catch(() => [])).map(({ address }) => address)
}

function foreign(host: string): PagemeshError {
  return new PagemeshError('lane-foreign', `The ticket for a bulk lane names ${host}, not an address of the member.`, {
    fault: 'peer', phase: 'opening a lane', data: { host },
    advice: 'Set `lane` there to an address that the mesh listens on as well, or wait a minute until it is announced.',
  })
}
