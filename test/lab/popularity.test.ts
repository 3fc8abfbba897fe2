import assert from 'node:assert/strict'

import type { PopularPage } from '../../src/index.ts'
import { deriveKeys, readClusterKey } from '../../src/mesh/index.ts'
import { createPageHasher, type PageHasher } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, waitFor, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import {
  agreement, countPages, readGuest, stablePrefixes, type Agreement, type PageCount, type Reading,
} from './exactcount.ts'

/** The first run builds the image, and six guests boot on few processors. */
const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const HOSTS = ['a', 'b', 'c']
const MIN_HOSTS = 2
const INTERVAL_MS = 15_000
/** Pages must be known by then. */
const NEWS_MS = 2 * INTERVAL_MS
/** A restarted agent knows its stable pages after its second scan. */
const RETURN_TIMEOUT_MS = 5 * INTERVAL_MS
const PAGES_MAX = 100_000
const PAGES_MIN = 10_000
/** The commands start this long before the deadline, because they take a while. */
const ASKED_AHEAD_MS = 2_000
/** Time between two reads of a view: each takes a processor for a second. */
const LOOK_PAUSE_MS = 2_500
/** A prefix and its count, delta-coded, take a little more than six bytes among thirty thousand. */
const REPORT_BYTES_MAX = 10
/** The least agreement of the hosts' views. */
const LIMITS = { recall: 0.99, precision: 0.99, equalCounts: 0.99 }

describe('popularity of real guests: three hosts, two systems on each', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const guests = new Map<string, LabGuest[]>()
  /** The stable pages of each guest, by host. */
  const stable = new Map<string, Set<bigint>[]>()
  let cluster: LabCluster
  let hasher: PageHasher
  /** When the last guest and the last agent were up, by the clock. */
  let upAt = 0

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    const startedAt = systemClock.now()
    // The agents start after the guests: on two processors their scans would slow the boot by a third.
    cluster = await createCluster({
      hosts: HOSTS, withoutAgents: true,
      settings: { census: { intervalSeconds: INTERVAL_MS / 1000 }, popularity: { minHosts: MIN_HOSTS } },
    })
    hasher = createPageHasher(deriveKeys(await readClusterKey(cluster.clusterKey)).pageKey)
    await Promise.all(HOSTS.map(async (host) => guests.set(host, await startGuests(cluster, host))))
    await Promise.all([...guests.values()].flat().map((guest) => guest.ready()))
    const guestsMs = systemClock.now() - startedAt
    for (const host of HOSTS) await cluster.restartAgent(host)
    upAt = systemClock.now()
    say(`six guests are up after ${seconds(guestsMs)} s, their agents after ${seconds(upAt - startedAt)} s`)
  })

  after(() => cluster?.close())

  /** One reading of each guest, one after the other. */
  async function readAll(): Promise<Map<LabGuest, Reading>> {
    const readings = new Map<LabGuest, Reading>()
    for (const guest of [...guests.values()].flat()) readings.set(guest, await readGuest(guest, hasher))
    return readings
  }

  /** Exact counts over the guests of these hosts. */
  function counted(hosts: readonly string[]): Map<bigint, PageCount> {
    return countPages(hosts.map((host) => stable.get(host)!), MIN_HOSTS)
  }

  /** All popular pages that a host knows. */
  async function viewOf(host: string): Promise<PopularPage[]> {
    const { status, output, errors } = await cluster.agent(host).command('pages', '--top', `${PAGES_MAX}`, '--json')
    assert.equal(status, 0, errors)
    const { pages } = JSON.parse(output) as { pages: PopularPage[] }
    assert.ok(pages.length < PAGES_MAX, 'the list is whole')
    return pages
  }

  /** Waits until a host's view agrees with the count; the error names the differences. */
  async function untilAgreed(host: string, pages: ReadonlyMap<bigint, PageCount>, timeoutMs: number): Promise<void> {
    let last = ''
    const look = async (): Promise<true | undefined> => {
      const found = agreement(pages, await viewOf(host))
      last = describeAgreement(host, found)
      return shortcomings(found).length === 0 ? true : undefined
    }
    const what = `the view of ${host} to agree`
    await waitFor(look, { clock: systemClock, what, timeoutMs, pauseMs: LOOK_PAUSE_MS }).catch((error: unknown) => {
      throw new Error(`${String(error)} ${last}`)
    })
    say(last)
  }

  it('within two intervals the views agree with exact counting', async () => {
    // Between the first and the second scans, which need the processors too.
    await systemClock.sleep(upAt + INTERVAL_MS / 2 - systemClock.now())
    const before = await readAll()
    await systemClock.sleep(upAt + NEWS_MS - ASKED_AHEAD_MS - systemClock.now())
    const views = await Promise.all(HOSTS.map(viewOf))
    const toldMs = systemClock.now() - upAt
    const after = await readAll()
    for (const host of HOSTS) {
      stable.set(host, guests.get(host)!.map((guest) => stablePrefixes(before.get(guest)!, after.get(guest)!)))
    }
    const pages = counted(HOSTS)
    const found = views.map((view) => agreement(pages, view))
    const everywhere = [...pages.values()].filter(({ hosts }) => hosts === HOSTS.length).length
    say(`${pages.size} stable pages on ${MIN_HOSTS} hosts or more, ${everywhere} on all; ` +
      `all views told ${seconds(toldMs)} s after all was up`)
    for (const [index, host] of HOSTS.entries()) say(describeAgreement(host, found[index]!))
    assert.ok(everywhere > PAGES_MIN && everywhere < pages.size, 'pages of more and of less hosts to count')
    assert.deepEqual(found.flatMap(shortcomings), [])
  })

  it('and the reports cost a few bytes a page', async () => {
    const statuses = await Promise.all(HOSTS.map((host) => cluster.agent(host).status()))
    const sentBytes = statuses.reduce((sum, { traffic }) => sum + traffic.report.sentBytes, 0)
    // With three hosts every host owns every slice: each page is reported to both others.
    const ownPages = HOSTS.map((host) => countPages([stable.get(host)!], 1).size)
    const toldPages = (HOSTS.length - 1) * ownPages.reduce((sum, count) => sum + count, 0)
    say(`${(sentBytes / toldPages).toFixed(1)} bytes of reports a page and host told`)
    assert.ok(sentBytes < REPORT_BYTES_MAX * toldPages)
    const counts = counted(HOSTS).size
    for (const { host, popularity } of statuses) {
      assert.ok(Math.abs(popularity.pages - counts) < 0.01 * counts, `status of ${host}: ${popularity.pages} pages`)
    }
  })

  it('within two intervals a host whose agent stopped no longer counts', async () => {
    const stoppedAt = systemClock.now()
    await cluster.agent('c').stop()
    for (const host of ['a', 'b']) {
      await untilAgreed(host, counted(['a', 'b']), NEWS_MS)
      const view = await viewOf(host)
      assert.ok(view.every(({ hosts, holders }) => hosts === 2 && !holders.includes('c')))
    }
    const tookMs = systemClock.now() - stoppedAt
    say(`forgotten by both after ${seconds(tookMs)} s`)
    assert.ok(tookMs <= NEWS_MS)
  })

  it('and counts again when it is back', async () => {
    const startedAt = systemClock.now()
    await cluster.restartAgent('c')
    for (const host of HOSTS) await untilAgreed(host, counted(HOSTS), RETURN_TIMEOUT_MS)
    say(`known to all again after ${seconds(systemClock.now() - startedAt)} s`)
  })
})

/** The small system first: while the other boots, it is up and idle already. */
async function startGuests(cluster: LabCluster, host: string): Promise<LabGuest[]> {
  return [
    await cluster.startGuest(host, { name: `busybox-${host}`, system: 'busybox', work: 'idle', memoryMiB: 256 }),
    await cluster.startGuest(host, { name: `debian-${host}`, work: 'idle', memoryMiB: 512 }),
  ]
}

function shortcomings(found: Agreement): string[] {
  return (['recall', 'precision', 'equalCounts'] as const)
    .filter((share) => !(found[share] >= LIMITS[share])).map((share) => `${share} is ${found[share]}`)
}

function describeAgreement(host: string, { recall, precision, equalCounts }: Agreement): string {
  return `${host}: recall ${recall.toFixed(4)}, precision ${precision.toFixed(4)}, ` +
    `guests and hosts right for ${(100 * equalCounts).toFixed(2)} %`
}

function say(line: string): void {
  console.log(`      ${line}`)
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1)
}
