import { isIPv4, isIPv6 } from 'node:net'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { clusterKeyText, joinCluster, PagemeshError, systemClock, type JoinedCluster } from '../index.ts'
import { parseHostPort, parseTcpMultiaddr } from '../net/hostport.ts'
import { filledIn, saysNothing } from './newconfig.ts'
import { NewFiles } from './newfiles.ts'

export interface NewHostInit {
  /** `host:port` of the host that made the invitation. */
  address: string
  token: string
  /** Where the configuration goes. */
  config: string
  /** Where the cluster key goes; default: cluster.key beside the configuration. */
  key?: string
  /** Default: what the system calls this host. */
  name?: string
  /** Multiaddr to listen on; default: the address by which the other host was reached, with its port. */
  listen?: string
  signal: AbortSignal
}

export interface NewHost {
  name: string
  /** The host that answered. */
  from: string
  config: string
  clusterKey: string
  listen: string
  bootstrap: string
}

const KEY_MODE = 0o600
/** It holds no secret. */
const CONFIG_MODE = 0o644

/**
 * Joins a cluster: gets its key with a token, and writes the key and a configuration. Throws PagemeshError as
 * `joinCluster` and `NewFiles` do; then it has written nothing.
 */
export async function makeNewHost(init: NewHostInit): Promise<NewHost> {
  const { address, token, signal, name = shortHostName() } = init
  const config = resolve(init.config)
  if (init.listen !== undefined && parseTcpMultiaddr(init.listen) === undefined) throw notListenable(init.listen)
  const clusterKey = resolve(init.key ?? join(dirname(config), 'cluster.key'))
  // Before the token is used.
  await using files = await NewFiles.reserve([
    { path: clusterKey, mode: KEY_MODE, use: 'the cluster key' },
    { path: config, mode: CONFIG_MODE, use: 'the configuration', mayReplace: saysNothing },
  ])
  const joined = await joinCluster({ clock: systemClock }, { address, token, name, signal })
  const host: NewHost = {
    name, from: joined.host, config, clusterKey,
    listen: init.listen ?? multiaddrOf(joined.ownHost, joined.meshPort),
    bootstrap: bootstrapOf(address, joined),
  }
  await files.publish([keyText(joined), (before) => filledIn(before, host)])
  return host
}

/** Pure. The key that is used comes first. */
function keyText({ clusterKey, other }: JoinedCluster): string {
  return other?.isUsed === true
    ? clusterKeyText(other.clusterKey, clusterKey) : clusterKeyText(clusterKey, other?.clusterKey)
}

/** The host that answered, as it was reached. */
function bootstrapOf(address: string, { meshPort }: JoinedCluster): string {
  return multiaddrOf(parseHostPort(address)?.host ?? '', meshPort)
}

function multiaddrOf(host: string, port: number): string {
  const family = isIPv4(host) ? 'ip4' : isIPv6(host) ? 'ip6' : 'dns'
  return `/${family}/${host}/tcp/${port}`
}

function shortHostName(): string {
  return hostname().split('.', 1)[0] ?? ''
}

function notListenable(listen: string): PagemeshError {
  return new PagemeshError('address-malformed', `${JSON.stringify(listen)} is no address to listen on.`, {
    fault: 'usage', data: { listen }, advice: 'Write it as /ip4/10.0.0.4/tcp/4001.',
  })
}
