/** Meshes of hosts that know one another by name, and of hosts that have no IPv4. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createCluster, type LabCluster } from '../../testnet/index.ts'
import { expectArrivedWhole, moveToStandstill, skipWithoutLab } from '../support/labmove.ts'

const HOSTS = ['a', 'b'] as const
const GUEST = { name: 'web', system: 'busybox', work: 'idle', memoryMiB: 96 } as const
/** `ip netns exec` shows a namespace the files that lie here under its name. */
const NAMESPACE_FILES = '/etc/netns'

describe('a mesh', function () {
  this.timeout(300_000)
  this.bail(true)
  let cluster: LabCluster | undefined
  let namespaces: string[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    cluster = await createCluster({ hosts: HOSTS, withoutAgents: true })
    if (!cluster.network.isolated) {
      console.log('      skipped: hosts with addresses of their own take root')
      this.skip()
    }
    namespaces = HOSTS.map((host) => cluster!.network.host(host).exec.at(-1)!)
    const names = HOSTS.flatMap((host, index) => [
      `10.77.0.${index + 1} host-${host}.four`, `fd77::${index + 1} host-${host}.six`,
    ]).join('\n')
    for (const namespace of namespaces) {
      mkdirSync(join(NAMESPACE_FILES, namespace), { recursive: true })
      writeFileSync(join(NAMESPACE_FILES, namespace, 'hosts'), `127.0.0.1 localhost\n${names}\n`)
    }
  })

  after(async () => {
    for (const host of HOSTS) await cluster?.agent(host)?.stop()
    for (const namespace of namespaces) rmSync(join(NAMESPACE_FILES, namespace), { recursive: true, force: true })
    await cluster?.close()
  })

  /** Starts both agents anew; each dials the other first. */
  async function start(listen: (number: number) => string, bootstrap: (host: string, number: number) => string) {
    for (const [index, host] of HOSTS.entries()) {
      const other = 1 - index
      await cluster!.agent(host)?.stop()
      await cluster!.restartAgent(host, {
        listen: [listen(index + 1)], bootstrap: [bootstrap(HOSTS[other]!, other + 1)],
      })
    }
    for (const host of HOSTS) await cluster!.agent(host).settled(1)
  }
  const peerOf = async (host: string): Promise<string> => (await cluster!.agent(host).status()).peers[0]!.address

  it('is found by names of IPv4 hosts', async () => {
    await start((number) => `/ip4/10.77.0.${number}/tcp/4001`, (host) => `/dns4/host-${host}.four/tcp/4001`)
    for (const host of HOSTS) assert.match(await peerOf(host), /10\.77\.0\.|host-.\.four/)
  })

  it('of hosts without IPv4 is found by address, and moves a guest whole', async () => {
    for (const [index, namespace] of namespaces.entries()) {
      const address = `fd77::${index + 1}/64`
      execFileSync('ip', ['-n', namespace, '-6', 'address', 'add', address, 'dev', 'eth0', 'nodad'])
      execFileSync('ip', ['-n', namespace, '-4', 'address', 'flush', 'dev', 'eth0'])
    }
    await start((number) => `/ip6/fd77::${number}/tcp/4001`, (_host, number) => `/ip6/fd77::${number}/tcp/4001`)
    for (const host of HOSTS) assert.match(await peerOf(host), /fd77::[12]/)
    const guest = await cluster!.startGuest('a', GUEST)
    await guest.moreBeats(1)
    const arriving = await cluster!.startGuest('b', { ...GUEST, incoming: true })
    await cluster!.settled()
    await moveToStandstill(cluster!, { guest, from: 'a', to: 'b', mode: 'precopy' })
    await expectArrivedWhole(guest, arriving, GUEST.memoryMiB)
  })

  it('of hosts without IPv4 is found by names', async () => {
    await start((number) => `/ip6/fd77::${number}/tcp/4001`, (host) => `/dns6/host-${host}.six/tcp/4001`)
    await start((number) => `/ip6/fd77::${number}/tcp/4001`, (host) => `/dns/host-${host}.six/tcp/4001`)
  })
})
