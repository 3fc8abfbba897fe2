import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import {
  busiestRate, createCluster, ensureImage, InterfaceWatch, waitFor, type LabCluster, type LabGuest,
} from '../../testnet/index.ts'
import { skipWithoutLab, type GuestKind } from '../support/labmove.ts'
import { Comparison, expectAtMost } from './comparison.ts'

const SETUP_TIMEOUT_MS = 900_000
const TEST_TIMEOUT_MS = 600_000
const WAIT_TIMEOUT_MS = 300_000
const LINK_BYTES_PER_SECOND = 125e6
/**
 * Link rates of host a, and of the others: slow enough that a's link is the bottleneck of a handoff, not the
 * processors.
 */
const SLOW_BYTES_PER_SECOND = { source: 6.25e6, others: 31.25e6 }
const MEMORY_MIB = 512
const SWAP_CAP = { text: '100Mbit', bytesPerSecond: 12.5e6 }
const SLOW_SWAP_CAP = '20Mbit'
/** Pages requested before a handoff began arrive within this time. */
const IN_FLIGHT_MS = 300
/** The guests have far more pages in common. */
const POPULAR_PAGES_MIN = 10_000

const LIMITS = {
  wireToPlain: 0.20, wireToMultifdZstd: 0.55, wireToNoStore: 0.7, timeToNoPeers: 0.75, capBurst: 1.2,
}
const WITHOUT_STORE = { store: { maxBytes: 0 } }
const WITHOUT_PEERS = { ...WITHOUT_STORE, handoff: { peers: false } }

describe('a host where no guest of that system runs', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster
  let guest: LabGuest
  let proactiveBytes = 0
  const kind: GuestKind = { name: 'quiet', work: 'idle', memoryMiB: MEMORY_MIB }

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({
      hosts: ['a', 'b', 'c'], bytesPerSecond: LINK_BYTES_PER_SECOND, withoutAgents: true,
      settings: { swap: { maxBandwidth: SWAP_CAP.text } },
    })
    const boot = async (host: string, kindThere: GuestKind): Promise<LabGuest> => {
      const booted = await cluster.startGuest(host, kindThere)
      await booted.ready()
      // Only the memory of the others matters; working guests would take the processors.
      if (host === 'b') await booted.qmp.execute('stop')
      return booted
    }
    const works = ['web', 'compile'] as const
    const others = works.map((work) => boot('b', { name: work, work, memoryMiB: MEMORY_MIB }))
    const [booted] = await Promise.all([boot('a', kind), ...others])
    guest = booted
    for (const host of ['a', 'b']) await cluster.restartAgent(host)
  })

  after(async () => {
    await cluster?.close()
  })

  it('fills its store unattended with what the others hold, within the cap of proactive traffic', async () => {
    const { pid } = await cluster.restartAgent('c')
    const watch = new InterfaceWatch({ clock: systemClock }, { pids: [pid] })
    watch.start()
    const status = await until('c to fill its store', async () => {
      const said = await cluster.agent('c').status()
      return said.settled && said.store.pages >= POPULAR_PAGES_MIN ? said : undefined
    })
    await watch.stop()
    const mostReceived = busiestRate(watch.looks, 0, 'receivedBytes', 1000)
    const each = await Promise.all(['a', 'b', 'c'].map((host) => cluster.agent(host).status()))
    proactiveBytes = each.reduce((sum, { traffic: { report, gossip, swap } }) => {
      return sum + report.sentBytes + gossip.sentBytes + swap.sentBytes
    }, 0)
    console.log(`      c keeps ${status.store.pages} of ${status.popularity.pages} popular pages; ` +
      `${megabytes(proactiveBytes)} MB proactive by all; at most ${megabytes(mostReceived)} MB a second at c`)
    assert.equal(status.placement.pending, 0)
    expectAtMost('bytes of the busiest second to the cap', mostReceived / SWAP_CAP.bytesPerSecond, LIMITS.capBurst)
  })

  it('takes a guest for a fifth of QEMU\'s bytes, and for far less than without its store', async () => {
    const comparison = compare()
    const plain = await comparison.plain('precopy')
    const precopy = await comparison.pagemesh('Pagemesh precopy')
    const postcopy = await comparison.pagemesh('Pagemesh postcopy', 'postcopy')
    await restart('c', WITHOUT_STORE)
    await untilPopular()
    const noStore = await comparison.pagemesh('without its store')
    const zstd = await comparison.plain('multifd-zstd')
    comparison.report()
    const saved = plain.wireBytes - precopy.wireBytes - precopy.result!.receivedWireBytes
    console.log(`      net positive after ${Math.ceil(proactiveBytes / saved)} such migrations: ` +
      `${megabytes(proactiveBytes)} MB spent beforehand, ${megabytes(saved)} MB saved by each`)
    for (const { way, wireBytes, result } of [precopy, postcopy]) {
      assert.ok(result!.refsFilledBy.store > POPULAR_PAGES_MIN)
      expectAtMost(`${way}, wire bytes to plain`, wireBytes / plain.wireBytes, LIMITS.wireToPlain)
      expectAtMost(`${way}, wire bytes to zstd`, wireBytes / zstd.wireBytes, LIMITS.wireToMultifdZstd)
      expectAtMost(`${way}, wire bytes to no store`, wireBytes / noStore.wireBytes, LIMITS.wireToNoStore)
    }
  })

  it('fetches missing pages from peers while the source has a slow link', async () => {
    await guest.qmp.execute('cont')
    await Promise.all(['a', 'b', 'c'].map((host) => cluster.network.shape(
      host, host === 'a' ? SLOW_BYTES_PER_SECOND.source : SLOW_BYTES_PER_SECOND.others,
    )))
    await untilPopular()
    const comparison = compare()
    const withPeers = await comparison.pagemesh('peers, slow source')
    await restart('c', WITHOUT_PEERS)
    const without = await comparison.pagemesh('no peers, slow source')
    comparison.report()
    assert.ok(withPeers.result!.refsFilledBy.peer > 0)
    expectAtMost('time to no peers', withPeers.totalMs / without.totalMs, LIMITS.timeToNoPeers)
  })

  it('pauses its proactive fetches while a guest moves there', async () => {
    await guest.qmp.execute('cont')
    await cluster.agent('c').stop()
    // Its identity is kept: another one would be refused under this name.
    rmSync(join(cluster.directory, 'c', 'state', 'c.pages'), { recursive: true })
    await cluster.restartAgent('c', { swap: { maxBandwidth: SLOW_SWAP_CAP } })
    await until('c to begin to fill its store', async () => (await proactive() > 0 ? true : undefined))
    const comparison = compare()
    const moving = comparison.pagemesh('while it fills its store')
    await until('the guest to be on its way', async () => (await handoffs() > 0 ? true : undefined))
    // Pages requested by then have arrived.
    await systemClock.sleep(IN_FLIGHT_MS)
    const before = await proactive()
    await until('the guest to arrive', async () => {
      const bytes = await proactive()
      if (await handoffs() === 0) return true
      assert.equal(bytes, before)
      return undefined
    })
    await moving
    comparison.report()
    await until('c to go on filling its store', async () => (await proactive() > before ? true : undefined))
  })

  it('gets its guest even if the peer that serves pages dies', async () => {
    await guest.qmp.execute('cont')
    await restart('c', WITHOUT_STORE)
    await untilPopular()
    const fetched = async (): Promise<number> => (await cluster.agent('c').status()).traffic.peers.receivedBytes
    const before = await fetched()
    const comparison = compare()
    const moving = comparison.pagemesh('peer dies, slow source')
    await until('c to fetch from b', async () => (await fetched() > before ? true : undefined))
    await cluster.agent('b').kill()
    await moving
    comparison.report()
  })

  function compare(): Comparison {
    return new Comparison(cluster, { kind, guest, to: 'c', comparesMemory: true })
  }

  /** Bytes that c fetched and served proactively. */
  async function proactive(): Promise<number> {
    const { swap } = (await cluster.agent('c').status()).traffic
    return swap.sentBytes + swap.receivedBytes
  }

  async function handoffs(): Promise<number> {
    return (await cluster.agent('c').status()).handoffs.length
  }

  async function restart(host: string, settings: Record<string, unknown>): Promise<void> {
    await cluster.agent(host).stop()
    await cluster.restartAgent(host, settings)
  }

  async function untilPopular(): Promise<void> {
    await until('c to know what is popular', async () => {
      const { popularity } = await cluster.agent('c').status()
      return popularity.pages >= POPULAR_PAGES_MIN ? true : undefined
    })
  }

  function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    return waitFor(look, { clock: systemClock, what, timeoutMs: WAIT_TIMEOUT_MS, pauseMs: 100 })
  }
})

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
