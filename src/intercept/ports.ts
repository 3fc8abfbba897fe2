import { formatPortRange, isPortIn, type PortRange } from '../net/portranges.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** Loopback addresses, which other hosts cannot reach. IPv6 has only one. */
export const LISTENER_HOSTS = ['127.64.0.1', '::1'] as const

/** Ports for the listeners, of which the first free one is used. They must not be managers' ports. */
export const LISTENER_PORTS: PortRange = { first: 20_000, last: 20_015 }

/**
 * Source ports of direct connections to members: the table exempts them. Other processes' connections from these ports
 * go direct as well.
 */
export const DIRECT_PORTS: PortRange = { first: 20_016, last: 20_079 }

/**
 * Throws PagemeshError `bad-config` if `ports` include ports that the agent itself uses: those that members dial, and
 * those of interception.
 */
export function requireForeignPorts(ports: readonly PortRange[], agentPorts: ReadonlySet<number>): void {
  const used = [...agentPorts].find((port) => isPortIn(ports, port))
  if (used !== undefined) throw ownPort(String(used), 'this agent listens there')
  const reserved: PortRange = { first: LISTENER_PORTS.first, last: DIRECT_PORTS.last }
  const clash = ports.find(({ first, last }) => first <= reserved.last && last >= reserved.first)
  if (clash !== undefined) {
    throw ownPort(formatPortRange(clash), `interception itself needs ${formatPortRange(reserved)}`)
  }
}

function ownPort(ports: string, why: string): PagemeshError {
  return new PagemeshError('bad-config', `\`intercept.ports\` has ${ports}, but ${why}.`, {
    fault: 'usage', phase: 'configuration', data: { key: 'intercept.ports' },
    advice: 'Leave it out there, or give the agent another port (`listen`, `lane`, `http`).',
  })
}
