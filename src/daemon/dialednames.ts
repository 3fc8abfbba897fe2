import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { parseTcpMultiaddr } from '../net/hostport.ts'
import { systemClock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/wait.ts'

/** A resolver that nobody answers waits for tens of seconds. */
const LOOKUP_MS_MAX = 5_000

/** Each host name among multiaddrs, with the addresses that this machine knows for it: `host-b is 10.0.0.2`. */
export async function lookUpNames(multiaddrs: readonly string[]): Promise<string[]> {
  const names = new Set(multiaddrs.map((text) => parseTcpMultiaddr(text)?.host ?? '')
    .filter((host) => host !== '' && isIP(host) === 0))
  return await Promise.all([...names].map(async (name) => {
    const addresses = await addressesOf(name)
    return addresses.length === 0 ? `${name} is not known here (see DNS and /etc/hosts)`
      : `${name} is ${addresses.join(' and ')}`
  }))
}

async function addressesOf(name: string): Promise<string[]> {
  const asked = lookup(name, { all: true })
  const about = { phase: 'check', fault: 'network', message: `${name} was not found in time.` } as const
  // A name that nobody knows has no address.
  const found = await withTimeout(systemClock, asked, LOOKUP_MS_MAX, about).catch(() => [])
  return [...new Set(found.map(({ address }) => address))]
}
