/** Where others are told to meet this host, by its configuration. Pure. */
import { defaultLane, type AgentOptions } from '../../index.ts'
import { isUnspecifiedHost, parseHostPort, parseTcpMultiaddr } from '../../net/hostport.ts'
import type { Facts } from './facts.ts'
import { check, type Finding } from './finding.ts'

type Addresses = Pick<AgentOptions, 'listen' | 'lane' | 'announce' | 'bootstrap'>

/** What is wrong with the addresses, and with the names in them. */
export function judgeAddresses(options: Addresses, names: Facts['names']): Finding[] {
  return [...judgeNames(names), ...judgeLane(options), ...judgeAnnounce(options)]
}

/** Debian gives a host's own name an address that no other host can reach. */
function judgeNames(names: Facts['names']): Finding[] {
  return names.map(({ name, addresses }) => {
    const about = check('name', name)
    if (addresses.length === 0) {
      return about.broken(`${name} has no address here.`, 'Mend the name, or write the address in its place.')
    }
    const loopback = addresses.filter(isLoopback)
    if (loopback.length === 0) return about.ok(`It means ${addresses.join(', ')}.`)
    return about.broken(`${name} means ${loopback.join(', ')} here, which no other host reaches.`,
      `Write the address in its place, or take ${name} out of the line with ${loopback[0]} in /etc/hosts.`)
  })
}

/** Guests leave over the lane of their host: others dial it. */
function judgeLane({ listen = [], lane = defaultLane(listen) }: Addresses): Finding[] {
  const host = parseHostPort(lane)?.host ?? ''
  const reached = hostsOf(listen).filter((mesh) => !isLoopback(mesh))
  if (!isLoopback(host) || reached.length === 0) return []
  return [check('lane', lane).broken(
    `\`lane\` is on the loopback interface, and the mesh listens at ${reached.join(', ')}: no guest could leave.`,
    `Set \`lane\` to an address of this host that the others reach, such as ${reached[0]}.`)]
}

function judgeAnnounce({ announce = [] }: Addresses): Finding[] {
  return announce.filter((address) => hostsOf([address]).some((host) => isLoopback(host) || isUnspecifiedHost(host)))
    .map((address) => check('announce', address).broken('No other host can dial that.',
      'Set `announce` to addresses at which the others reach this host.'))
}

function hostsOf(addresses: readonly string[]): string[] {
  return addresses.flatMap((address) => parseTcpMultiaddr(address)?.host ?? [])
}

export function isLoopback(address: string): boolean {
  return /^(127\.|::1$|localhost$)/.test(address)
}
