import type { Mesh, NamePins } from '../mesh/index.ts'
import { isoTime } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { addressOf } from './peeraddress.ts'

/** A host name in the mesh: the member that uses it now, and the identity that it belongs to. */
export interface PeerName {
  host: string
  /** Peer id of the member that uses the name now; null: no member does. */
  peerId: string | null
  address: string | null
  /** The identity that the name belongs to, and since when; null: no host has used the name yet. */
  pinnedTo: string | null
  pinnedAt: string | null
  /** Other identities that claimed the name and were refused. */
  claims: { peerId: string; count: number; lastAt: string }[]
}

/** What `pagemesh peers accept` changed. */
export interface AcceptedPeer {
  host: string
  peerId: string
  before: string | null
}

/** All known names, including this host's own, sorted. */
export function listPeers(mesh: Mesh, pins: NamePins): PeerName[] {
  const members = new Map([mesh.self, ...mesh.members()].map((member) => [member.name, member]))
  const pinned = new Map(pins.pins().map((pin) => [pin.name, pin]))
  const claims = pins.claims()
  const names = new Set([...members.keys(), ...pinned.keys(), ...claims.map(({ name }) => name)])
  return [...names].sort().map((host) => {
    const [member, pin] = [members.get(host), pinned.get(host)]
    return {
      host, peerId: member?.peerId ?? null, address: member === undefined ? null : addressOf(mesh, member),
      pinnedTo: pin?.peerId ?? null, pinnedAt: pin === undefined ? null : isoTime(pin.since),
      claims: claims.filter(({ name }) => name === host)
        .map(({ peerId, count, last }) => ({ peerId, count, lastAt: isoTime(last) })),
    }
  })
}

/**
 * Gives a name to another identity. Throws PagemeshError `own-name`, `no-claim`, `several-claims`, or `name-in-use`
 * while the host that the name belongs to is a member.
 */
export function acceptPeer(mesh: Mesh, pins: NamePins, name: string, peerId?: string): AcceptedPeer {
  if (name === mesh.self.name) {
    throw new PagemeshError('own-name', `${name} is this host's own name.`, { fault: 'usage' })
  }
  const member = mesh.member(name)
  if (member !== undefined && member.peerId !== peerId) {
    throw new PagemeshError('name-in-use', `${name} is here, under the identity that its name belongs to.`, {
      fault: 'usage', data: { name, peerId: member.peerId },
      advice: 'If that is the wrong one, stop it first. If not, somebody else claims its name: see `pagemesh peers`.',
    })
  }
  const { before, ...accepted } = pins.accept(name, peerId)
  return { host: name, peerId: accepted.peerId, before: before ?? null }
}
