import assert from 'node:assert/strict'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import {
  createCluster, ensureImage, migratePlain, waitFor, type LabCluster, type LabGuest, type PlainMode,
} from '../../testnet/index.ts'
import { InterfaceMeter } from './interfacemeter.ts'
import { expectArrivedWhole, move, skipWithoutLab, type GuestKind, type MoveResult } from './labmove.ts'

const SETUP_TIMEOUT_MS = 900_000
const TEST_TIMEOUT_MS = 600_000
const FILL_TIMEOUT_MS = 300_000
const LINK_BYTES_PER_SECOND = 125e6
/** Of host a alone, and of the others: slow enough that a's link is what a handoff waits for, not the processors. */
const SLOW_BYTES_PER_SECOND = { source: 6.25e6, others: 31.25e6 }
const MEMORY_MIB = 512
const SLOW_SWAP_CAP = '20Mbit'
/** Within it all comes that had been asked for when a handoff began. */
const IN_FLIGHT_MS = 300
const SWAP_CAP = { text: '100Mbit', bytesPerSecond: 12.5e6 }
/** Half of what the guests hold in common is at c before anything is measured; it goes on until nothing is pending. */
const HEAD_PAGES_MIN = 10_000

const LIMITS = {
  wireToPlain: 0.20, wireToMultifdZstd: 0.55, wireToNoStore: 0.7, timeToNoPeers: 0.75, capBurst: 1.2,
}
/** An agent that knows of no popular page has nothing to ask others for. */
const WITHOUT_PEERS = { popularity: { minHosts: 1000 } }
const WITHOUT_STORE = { store: { maxBytes: 0 } }

const MOVING: GuestKind = { name: 'quiet', work: 'idle', memoryMiB: MEMORY_MIB }

interface Measured {
  way: string
  /** What host a's interface sent. */
  wireBytes: number
  totalMs: number
  result?: MoveResult
}

describe('a host where no guest of that system runs', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined
  let guest: LabGuest
  let proactiveBytes = 0
  const measured: Measured[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({
      hosts: ['a', 'b', 'c'], bytesPerSecond: LINK_BYTES_PER_SECOND,
      settings: { swap: { maxBandwidth: SWAP_CAP.text }, census: { intervalSeconds: 5 } }, withoutAgents: true,
    })
    const others = await Promise.all((['web', 'compile'] as const).map(async (work) => {
      const other = await cluster!.startGuest('b', { name: work, work, memoryMiB: MEMORY_MIB })
      await other.ready()
      return other
    }))
    // What they hold is what counts; at work they would take the processors.
    for (const other of others) await other.qmp.execute('stop')
    guest = await cluster.startGuest('a', MOVING)
    await guest.ready()
    for (const host of ['a', 'b']) await cluster.restartAgent(host)
  })

  after(async () => {
    await cluster?.close()
  })

  it('fills its store unattended with what the others hold, within the cap of proactive traffic', async () => {
    const meter = new InterfaceMeter(cluster!.network, 'c')
    meter.start()
    await cluster!.restartAgent('c')
    const status = await waitFor(async () => {
      const said = await cluster!.agent('c').status()
      return said.settled && said.store.pages >= HEAD_PAGES_MIN ? said : undefined
    }, { clock: systemClock, what: 'c to fill its store', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 500 })
    const { mostReceived } = await meter.stop()
    const each = await Promise.all(['a', 'b', 'c'].map((host) => cluster!.agent(host).status()))
    proactiveBytes = each.reduce((sum, { traffic: { report, gossip, swap } }) => {
      return sum + report.sentBytes + gossip.sentBytes + swap.sentBytes
    }, 0)
    console.log(`      c keeps ${status.store.pages} of ${status.popularity.pages} popular pages; ` +
      `${megabytes(proactiveBytes)} MB proactive by all; at most ${megabytes(mostReceived)} MB a second at c`)
    assert.equal(status.placement.pending, 0)
    assert.ok(mostReceived <= LIMITS.capBurst * SWAP_CAP.bytesPerSecond, `${mostReceived} bytes in a second`)
  })

  it('takes a guest for a fifth of what QEMU sends, and little of what it would without its store', async () => {
    const plain = await moveWith('precopy')
    await bringBack()
    const precopy = await moveWithPagemesh('Pagemesh precopy')
    await bringBack()
    const postcopy = await moveWithPagemesh('Pagemesh postcopy', '--mode', 'postcopy')
    await bringBack()
    await restart('c', WITHOUT_STORE)
    await popularAgain()
    const noStore = await moveWithPagemesh('without its store')
    await bringBack()
    const zstd = await moveWith('multifd-zstd')
    report(plain)
    const saved = plain.wireBytes - precopy.wireBytes - (precopy.result?.receivedWireBytes ?? 0)
    console.log(`      net positive after ${Math.ceil(proactiveBytes / saved)} such migrations: ` +
      `${megabytes(proactiveBytes)} MB spent beforehand, ${megabytes(saved)} MB saved by each`)
    for (const { way, wireBytes } of [precopy, postcopy]) {
      expectAtMost(`${way}, wire bytes to plain`, wireBytes / plain.wireBytes, LIMITS.wireToPlain)
      expectAtMost(`${way}, wire bytes to zstd`, wireBytes / zstd.wireBytes, LIMITS.wireToMultifdZstd)
      expectAtMost(`${way}, wire bytes to no store`, wireBytes / noStore.wireBytes, LIMITS.wireToNoStore)
    }
  })

  it('has what it lacks from peers while the source has a slow link', async () => {
    await bringBack()
    await popularAgain()
    await Promise.all(['a', 'b', 'c'].map((host) => cluster!.network.shape(
      host, host === 'a' ? SLOW_BYTES_PER_SECOND.source : SLOW_BYTES_PER_SECOND.others,
    )))
    const withPeers = await moveWithPagemesh('peers, slow source')
    await bringBack()
    await restart('c', { ...WITHOUT_STORE, ...WITHOUT_PEERS })
    const without = await moveWithPagemesh('no peers, slow source')
    report(without)
    assert.ok(withPeers.result!.refsFilledBy.peer > 0)
    expectAtMost('time to no peers', withPeers.totalMs / without.totalMs, LIMITS.timeToNoPeers)
  })

  it('waits with what it fetches to keep while a guest moves there', async () => {
    await bringBack()
    const path = join(cluster!.directory, 'another-store')
    await restart('c', { store: { path }, swap: { maxBandwidth: SLOW_SWAP_CAP } })
    await waitFor(async () => (await proactive() > 0 ? true : undefined), {
      clock: systemClock, what: 'c to begin to fill its store', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 20,
    })
    const moving = moveWithPagemesh('while it fills its store')
    await waitFor(async () => ((await cluster!.agent('c').status()).handoffs.length > 0 ? true : undefined), {
      clock: systemClock, what: 'the guest to be on its way', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 20,
    })
    // What had been asked for by then has come.
    await systemClock.sleep(IN_FLIGHT_MS)
    const before = await proactive()
    await waitFor(async () => {
      const { handoffs, traffic: { swap } } = await cluster!.agent('c').status()
      if (handoffs.length > 0) assert.equal(swap.sentBytes + swap.receivedBytes, before)
      return handoffs.length === 0 ? true : undefined
    }, { clock: systemClock, what: 'the guest to arrive', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 100 })
    report(await moving)
    await waitFor(async () => (await proactive() > before ? true : undefined), {
      clock: systemClock, what: 'c to go on filling its store', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 100,
    })
  })

  it('arrives all the same when the peer that gives it pages dies', async () => {
    await bringBack()
    await restart('c', WITHOUT_STORE)
    await popularAgain()
    const fetched = async (): Promise<number> => (await cluster!.agent('c').status()).traffic.peers.receivedBytes
    const before = await fetched()
    const moving = moveWithPagemesh('peer dies, slow source')
    await waitFor(async () => (await fetched() > before ? true : undefined), {
      clock: systemClock, what: 'c to fetch from b', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 20,
    })
    await cluster!.agent('b').kill()
    report(await moving)
  })

  async function moveWith(mode: PlainMode): Promise<Measured> {
    return await measure(`QEMU ${mode}`, async (destination) => {
      return await migratePlain({ source: guest, destination, network: cluster!.network, mode })
    })
  }

  async function moveWithPagemesh(way: string, ...words: string[]): Promise<Measured> {
    return await measure(way, async () => {
      const result = await move(cluster!, 'a', 'c', MOVING.name, ...words)
      return { totalMs: result.totalMs, result }
    })
  }

  /** Bytes of pages that c fetched and served to be kept. */
  async function proactive(): Promise<number> {
    const { swap } = (await cluster!.agent('c').status()).traffic
    return swap.sentBytes + swap.receivedBytes
  }

  /** Moves the guest from a to c, compares its memory, and lets it go on there. */
  async function measure(
    way: string, run: (destination: LabGuest) => Promise<{ totalMs: number; result?: MoveResult }>,
  ): Promise<Measured> {
    const sent = async (): Promise<number> => (await cluster!.network.counters('a'))!.sentBytes
    const destination = await cluster!.startGuest('c', { ...MOVING, incoming: true, paused: true })
    const before = await sent()
    const { totalMs, result } = await run(destination)
    const moved = { way, totalMs, wireBytes: await sent() - before, ...(result === undefined ? {} : { result }) }
    if (result !== undefined) await expectArrivedWhole(guest, destination, MEMORY_MIB)
    else await destination.qmp.execute('cont')
    await guest.stop()
    guest = destination
    measured.push(moved)
    return moved
  }

  /** Takes the guest back to a with QEMU alone, so that c's agent learns nothing by it. */
  async function bringBack(): Promise<void> {
    const destination = await cluster!.startGuest('a', { ...MOVING, incoming: true })
    await migratePlain({ source: guest, destination, network: cluster!.network, mode: 'precopy' })
    await guest.stop()
    guest = destination
    await destination.moreBeats(2)
    await cluster!.settled()
  }

  async function restart(host: string, settings: Record<string, unknown>): Promise<void> {
    await cluster!.agent(host).stop()
    await cluster!.restartAgent(host, settings)
    await cluster!.settled()
  }

  /** A guest that was brought back must be scanned twice before it is known what stays, and told to the others. */
  async function popularAgain(): Promise<void> {
    await waitFor(async () => {
      const { popularity } = await cluster!.agent('c').status()
      return popularity.pages >= HEAD_PAGES_MIN ? true : undefined
    }, { clock: systemClock, what: 'c to know what is popular', timeoutMs: FILL_TIMEOUT_MS, pauseMs: 500 })
  }

  function report(base: Measured): void {
    for (const { way, wireBytes, totalMs, result } of measured.splice(0)) {
      const filled = result === undefined ? '' : JSON.stringify(result.refsFilledBy)
      console.log(`      ${way.padEnd(22)} ${megabytes(wireBytes).padStart(6)} MB  ` +
        `${(wireBytes / base.wireBytes).toFixed(3)}  ${(totalMs / 1000).toFixed(2).padStart(5)} s  ` +
        `${(totalMs / base.totalMs).toFixed(2)}  ${filled}`)
    }
  }
})

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

function expectAtMost(what: string, value: number, limit: number): void {
  assert.ok(value <= limit, `${what}: ${value.toFixed(3)}, at most ${limit.toFixed(3)}`)
}
