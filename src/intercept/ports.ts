import { formatPortRange, isPortIn, type PortRange } from '../net/portranges.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** On the loopback interface, where no other host comes to. IPv6 has one address there. */
export const LISTENER_HOSTS = ['127.64.0.1', '::1'] as const

/** Where this host listens for what is intercepted: the first that is free. A manager's ports must stay free. */
export const LISTENER_PORTS: PortRange = { first: 20_000, last: 20_015 }

/**
 * From where this host connects to a member past its own table: nothing that comes from these ports is intercepted.
 * Who else uses them goes direct as well, as everybody does without an agent.
 */
export const DIRECT_PORTS: PortRange = { first: 20_016, last: 20_079 }

/**
 * Throws PagemeshError `bad-config` if ports are to be intercepted that agents need themselves: those at which members
 * dial this agent, and those where interception itself is.
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
