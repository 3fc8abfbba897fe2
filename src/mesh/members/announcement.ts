import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'

import { parseHostPort, parseTcpMultiaddr } from '../../net/hostport.ts'
import { parseJson } from '../../text/json.ts'
import { isHostName } from '../hostname.ts'

/** What a host gossips about itself, so that members that know only one bootstrap peer find each other. JSON. */
export interface Announcement {
  version: 1
  name: string
  peerId: string
  /** Multiaddrs listened on, without the peer id. */
  addresses: string[]
  /** `host:port` of its lanes, if they have an address of their own. */
  lane?: string
}

export const ANNOUNCEMENT_LIMITS = { bytes: 4096, addresses: 8, addressCharacters: 128, peerIdCharacters: 96 } as const

export function encodeAnnouncement(announcement: Announcement): Uint8Array {
  return fromString(JSON.stringify({ ...announcement, addresses: announcedAddresses(announcement.addresses) }), 'utf8')
}

/** The announcement in `bytes`, or undefined if there is none. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement | undefined {
  if (bytes.length > ANNOUNCEMENT_LIMITS.bytes) return undefined
  const value = parseJson(toString(bytes, 'utf8'))
  if (typeof value !== 'object' || value === null) return undefined
  const { version, name, peerId, addresses, lane } = value as Record<string, unknown>
  if (version !== 1 || typeof name !== 'string' || !isHostName(name)) return undefined
  if (!isPeerId(peerId) || !isAddressList(addresses)) return undefined
  if (lane !== undefined && !isLane(lane)) return undefined
  return { version, name, peerId, addresses, ...(lane === undefined ? {} : { lane }) }
}

function isPeerId(value: unknown): value is string {
  return typeof value === 'string' && value.length <= ANNOUNCEMENT_LIMITS.peerIdCharacters &&
    /^[A-Za-z0-9]+$/.test(value)
}

function isLane(value: unknown): value is string {
  return typeof value === 'string' && value.length <= ANNOUNCEMENT_LIMITS.addressCharacters &&
    parseHostPort(value) !== undefined
}

function isAddressList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= ANNOUNCEMENT_LIMITS.addresses && value.every(isAddress)
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= ANNOUNCEMENT_LIMITS.addressCharacters &&
    /^\/(ip4|ip6|dns|dns4|dns6)\/[0-9A-Za-z.:-]+\/tcp\/\d{1,5}$/.test(value)
}

/** Without loopback addresses, which others cannot dial, unless there is nothing else: then all are on this machine. */
export function announcedAddresses(addresses: string[]): string[] {
  const isLoopback = (address: string): boolean =>
    /^(127\.|::1$|localhost$)/.test(parseTcpMultiaddr(address)?.host ?? '')
  const outside = addresses.filter((address) => !isLoopback(address))
  return (outside.length > 0 ? outside : addresses).filter(isAddress).slice(0, ANNOUNCEMENT_LIMITS.addresses)
}
