import { strict as assert } from 'node:assert'

import { systemClock } from '../../src/index.ts'
import {
  LibvirtCluster, missingForLab, PAGEMESH, startProcess, waitFor, type LabProcess, type LibvirtHost,
} from '../../testnet/index.ts'

const MS_MAX = 60_000
/** What a migration with us may put on the wire, of what one without us puts there. */
const WIRE_SHARE_MAX = 0.3

/** Words for `virsh migrate`, and for `pagemesh tunnel`, that lead a migration to `right` through us. */
const WAYS: Record<string, { virsh: readonly string[]; tunnel: readonly string[] }> = {
  'a loopback address': {
    virsh: ['--migrateuri', 'tcp://127.64.0.2:20500', '--listen-address', '127.64.0.9'],
    tunnel: ['--path', '127.64.0.2:20500', '--remote-path', '127.64.0.9:20500'],
  },
}
const KINDS: Record<string, readonly string[]> = {
  directly: [], 'peer to peer': ['--p2p'], 'over parallel connections': ['--parallel', '--parallel-connections', '3'],
}

describe('libvirt through a tunnel', function () {
  this.timeout(300_000)
  let cluster: LibvirtCluster
  let left: LibvirtHost
  let right: LibvirtHost
  let plainBytes: number
  let tunnel: LabProcess | undefined

  before(async function () {
    const missing = await missingForLab()
    if (missing !== undefined) {
      this.test!.parent!.title += ` (skipped: no ${missing})`
      this.skip()
    }
    cluster = await LibvirtCluster.start({ hosts: ['left', 'right'] })
    ;[left, right] = cluster.hosts as [LibvirtHost, LibvirtHost]
    await cluster.startGuest(left, 'web')
    await cluster.startGuest(right, 'twin')
    await settled('twin', 1)
    // The first measure is without us.
    plainBytes = await sentDuring(() => left.virsh('migrate', '--live', 'web', 'qemu+tcp://right/system'))
    await right.virsh('migrate', '--live', 'web', 'qemu+tcp://left/system')
  })

  afterEach(async () => {
    await tunnel?.terminate()
    tunnel = undefined
    if ((await right.running()).includes('web')) await right.virsh('migrate', '--live', 'web', 'qemu+tcp://left/system')
  })

  after(() => cluster?.close())

  /** Resolves when the agent has counted the guest twice, so that it knows what changes. */
  async function settled(guest: string, agent: number): Promise<void> {
    await waitFor(async () => {
      const { guests, census } = await cluster.agents[agent]!.status()
      return census.scans >= 2 && guests.some(({ name, distinctPages }) => name === guest && distinctPages > 0)
        ? true : undefined
    }, { clock: systemClock, what: `guest ${guest} to be counted`, timeoutMs: MS_MAX, pauseMs: 200 })
  }

  async function sentDuring(move: () => Promise<unknown>): Promise<number> {
    const before = await cluster.network.counters('left')
    await move()
    return (await cluster.network.counters('left'))!.sentBytes - before!.sentBytes
  }

  async function openTunnel(words: readonly string[]): Promise<void> {
    const address = words[1]!
    const isListening = async (): Promise<true | undefined> => {
      if (!tunnel!.running) throw new Error(tunnel!.errors)
      return (await left.run('ss', '-tlnH')).includes(address) ? true : undefined
    }
    tunnel = startProcess(left.exec, [
      ...PAGEMESH, 'tunnel', '--control', cluster.agents[0]!.control, '--to', 'right', ...words,
    ])
    await waitFor(isListening, { clock: systemClock, what: 'the tunnel to listen', timeoutMs: MS_MAX, pauseMs: 100 })
  }

  for (const [way, words] of Object.entries(WAYS)) {
    for (const [kind, how] of Object.entries(KINDS)) {
      it(`by ${way}, ${kind}: completes with references, on few bytes`, async () => {
        await settled('web', 0)
        await openTunnel(words.tunnel)
        const sent = await sentDuring(() =>
          left.virsh('migrate', '--live', ...how, 'web', 'qemu+tcp://right/system', ...words.virsh))
        assert.deepEqual([await left.running(), await right.running()], [[], ['twin', 'web']])
        await right.guest('web').moreBeats(2)
        const relayed = await waitFor(async () => {
          const { output } = await cluster.agents[0]!.command('history', '--json')
          const { handoffs } = JSON.parse(output) as { handoffs: { driver?: string; pages: { ref: number } }[] }
          return handoffs.findLast(({ driver }) => driver === 'relay')
        }, { clock: systemClock, what: 'the relay to be over', timeoutMs: MS_MAX, pauseMs: 200 })
        assert.ok(relayed.pages.ref > 0)
        assert.ok(sent <= plainBytes * WIRE_SHARE_MAX, `${sent} of ${plainBytes} bytes`)
      })
    }
  }
})
