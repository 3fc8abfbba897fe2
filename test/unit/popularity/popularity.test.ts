import assert from 'node:assert/strict'

import { GOSSIP_BYTES_MAX } from '../../../src/mesh/index.ts'
import { SLICE_COUNT } from '../../../src/popularity/slice.ts'
import { seededRandom } from '../../support/random.ts'
import { restsOf } from './made.ts'
import { countKnown, INTERVAL_MS, ownersAmong, TestMesh, type PlacedPage, type TestHost } from './mesh.ts'

const SEED = 20260
const GOSSIP_GAP_MS = 10_000

/** Pages spread over all slices. */
function placed(seed: number, count: number): PlacedPage[] {
  return restsOf(seededRandom(seed), count).map((rest, index) => ({ slice: (index * 37) % SLICE_COUNT, rest }))
}

function hold(hosts: readonly TestHost[], pages: readonly PlacedPage[], guests = 1): void {
  for (const { held } of hosts) for (const { slice, rest } of pages) held.set(slice, rest, guests)
}

/** Hosts with pages that all hold, that two of them hold, and that only one does. */
async function started(count: number, mesh = new TestMesh(SEED)) {
  const hosts: TestHost[] = []
  for (let index = 0; index < count; index++) hosts.push(await mesh.add(`host-${index}`))
  const [common, pair, single] = [placed(1, 900), placed(2, 600), placed(3, 500)]
  hold(hosts, common)
  hold(hosts.slice(0, 2), pair, 2)
  hold(hosts.slice(2, 3), single)
  const assertExact = (host: TestHost, live = count): void => {
    assert.equal(countKnown(host, common, live), common.length, `${host.name} knows what all hold`)
    assert.equal(countKnown(host, pair, 2, 4), pair.length, `${host.name} knows what two hold`)
    assert.equal(host.popularity.view.pages, common.length + pair.length)
  }
  return { mesh, hosts, common, pair, single, assertExact }
}

describe('three hosts', function () {
  this.timeout(60_000)

  it('know within two intervals what is popular, exactly, and gossip nothing', async () => {
    const { mesh, hosts, pair, assertExact } = await started(3)
    await mesh.pass(2 * INTERVAL_MS)
    for (const host of hosts) {
      assertExact(host)
      assert.deepEqual([host.published, host.popularity.refusals, host.popularity.sizes.publishedPages], [[], {}, 0])
    }
    const [first] = hosts as [TestHost]
    const top = first.popularity.view.top(2000)
    assert.equal(top.count, 1500)
    assert.ok(top.holders.every((names, index) => names.length === top.hosts[index]))
    // The last to have a page but one drops it: it is popular no more.
    for (const { slice, rest } of pair.slice(0, 100)) first.held.set(slice, rest, 0)
    await mesh.pass(2 * INTERVAL_MS)
    for (const host of hosts) assert.equal(host.popularity.view.pages, 1400)
    await mesh.end()
  })
})

describe('the age of the view', function () {
  this.timeout(120_000)

  it('stays small while owners are heard, and grows where one is not any more', async () => {
    for (const count of [1, 3, 5]) {
      const mesh = new TestMesh(SEED)
      const hosts: TestHost[] = []
      for (let index = 0; index < count; index++) hosts.push(await mesh.add(`host-${index}`))
      hold(hosts, placed(1, 900))
      for (let interval = 0; interval < 10; interval++) {
        await mesh.pass(INTERVAL_MS)
        for (const { popularity } of hosts) {
          assert.ok(popularity.viewAgeMs < 4 * INTERVAL_MS, `${count} hosts: ${popularity.viewAgeMs} ms`)
        }
      }
      const holding = hosts.map(({ popularity }) => popularity.standBack())
      await mesh.pass(12 * INTERVAL_MS)
      for (const { popularity } of hosts) assert.ok(popularity.viewAgeMs > 10 * INTERVAL_MS, `${count} hosts held`)
      for (const release of holding) release()
      await mesh.end()
    }
  })
})

describe('five hosts', function () {
  this.timeout(120_000)

  it('know what is popular, exactly, within three intervals, also where messages are lost', async () => {
    for (const loss of [0, 0.05]) {
      const { mesh, hosts, assertExact } = await started(5, new TestMesh(SEED, loss))
      await mesh.pass((loss === 0 ? 3 : 6) * INTERVAL_MS)
      for (const host of hosts) {
        assertExact(host)
        assert.deepEqual(host.popularity.refusals, {})
      }
      await mesh.end()
    }
  })

  it('give one that joins late the whole view within a minute', async () => {
    const { mesh, common, pair } = await started(5)
    await mesh.pass(5 * INTERVAL_MS)
    const late = await mesh.add('late')
    await mesh.pass(60_000)
    assert.equal(countKnown(late, common, 5), common.length)
    assert.equal(countKnown(late, pair, 2, 4), pair.length)
    await mesh.pass(3 * INTERVAL_MS)
    hold([late], common)
    await mesh.pass(4 * INTERVAL_MS)
    for (const host of mesh.hosts) assert.equal(countKnown(host, common, 6), common.length, host.name)
    await mesh.end()
  })

  it('or more do so also while gossip goes on, and where every fifth exchange breaks', async () => {
    for (const seed of [1, 2, 3]) {
      const mesh = new TestMesh(seed, 0.2)
      const common = placed(1, 900)
      for (let index = 0; index < 12; index++) hold([await mesh.add(`host-${index}`)], common)
      await mesh.pass(9 * INTERVAL_MS)
      const late = await mesh.add('late')
      const timer = mesh.clock.every(4_000, () => hold(mesh.hosts.slice(0, 4), placed(mesh.now, 20)))
      await mesh.pass(60_000)
      timer.cancel()
      assert.equal(countKnown(late, common, 12), common.length, `seed ${seed}`)
      await mesh.end()
    }
  })

  for (const how of ['stop', 'crash'] as const) {
    it(`have the slices of one that goes (${how}) whole again at the next owner within two intervals`, async () => {
      const { mesh, hosts, common, assertExact } = await started(5)
      await mesh.pass(5 * INTERVAL_MS)
      const [, , , , leaver] = hosts as [TestHost, TestHost, TestHost, TestHost, TestHost]
      const owners = ownersAmong(hosts.map((host) => host.mesh))
      const itsOwn = common.filter(({ slice }) => owners.at(slice, 0) === leaver.name)
      assert.ok(itsOwn.length > 100)
      await mesh.remove(leaver, how)
      // A crash is noticed some seconds later only, and by each by itself.
      if (how === 'crash') await mesh.pass(15_000)
      await mesh.pass(2 * INTERVAL_MS)
      for (const { slice, rest } of itsOwn) {
        const next = mesh.hosts.find(({ name }) => name === owners.at(slice, 1))!
        assert.equal(countKnown(next, [{ slice, rest }], 4), 1, `${next.name} knows a page of slice ${slice}`)
      }
      await mesh.pass(3 * INTERVAL_MS)
      for (const host of mesh.hosts) assertExact(host, 4)
      await mesh.end()
    })
  }

  it('forget a page that nobody has any more', async () => {
    const { mesh, hosts, common, pair } = await started(5)
    await mesh.pass(5 * INTERVAL_MS)
    for (const { held } of hosts) for (const { slice, rest } of pair) held.set(slice, rest, 0)
    await mesh.pass(4 * INTERVAL_MS)
    for (const host of hosts) {
      assert.equal(host.popularity.view.pages, common.length)
      assert.equal(countKnown(host, pair, 0), pair.length)
    }
    await mesh.end()
  })

  it('gossip one message in ten seconds at most, and none that is too long, whatever they have to say', async () => {
    const { mesh, hosts } = await started(5)
    const many = placed(9, 9000)
    for (const host of hosts.slice(0, 3)) hold([host], many)
    for (let round = 0; round < 8; round++) {
      await mesh.pass(INTERVAL_MS)
      hold(hosts.slice(1, 4), placed(20 + round, 400))
    }
    let messages = 0
    let longest = 0
    for (const { published } of hosts) {
      messages += published.length
      for (const [index, { at, bytes }] of published.entries()) {
        longest = Math.max(longest, bytes)
        assert.ok(bytes <= GOSSIP_BYTES_MAX)
        const gapMs = at - (published[index - 1]?.at ?? -Infinity)
        assert.ok(gapMs >= GOSSIP_GAP_MS, `${gapMs} ms apart`)
      }
    }
    assert.ok(longest > GOSSIP_BYTES_MAX / 2 && messages >= 5 * 6, `${messages} messages, up to ${longest} bytes`)
    await mesh.end()
  })

  it('drop what was reported to them of slices that went to others', async () => {
    const { mesh, hosts } = await started(5)
    await mesh.pass(5 * INTERVAL_MS)
    const before = hosts.map(({ popularity }) => popularity.sizes.reportedPages)
    for (let index = 5; index < 15; index++) await mesh.add(`host-${index}`)
    await mesh.pass(6 * INTERVAL_MS)
    const after = hosts.map(({ popularity }) => popularity.sizes.reportedPages)
    // Of fifteen hosts four are ranked for a slice: what is not theirs is gone.
    for (const [index, pages] of after.entries()) {
      assert.ok(pages < before[index]! * 0.85, `${pages} of ${before[index]}`)
    }
    for (const host of mesh.hosts.slice(5)) await mesh.remove(host, 'stop')
    await mesh.pass(6 * INTERVAL_MS)
    for (const host of hosts) assert.equal(host.popularity.view.pages, 1500)
    await mesh.end()
  })
})

describe('popularity', function () {
  this.timeout(60_000)

  it('starts and stops as often as one likes, and goes on as if it had been away', async () => {
    const { mesh, hosts, assertExact, common } = await started(3)
    const [first] = hosts as [TestHost]
    await first.popularity.start()
    await mesh.pass(2 * INTERVAL_MS)
    assertExact(first)
    await Promise.all([first.popularity.stop(), first.popularity.stop()])
    await first.popularity.stop()
    const { sentBytes } = first.popularity.traffic.report
    hold(hosts.slice(1), placed(50, 100))
    await mesh.pass(3 * INTERVAL_MS)
    assert.equal(first.popularity.traffic.report.sentBytes, sentBytes, 'it is silent while it is stopped')
    assert.equal(first.popularity.view.pages, 1500)
    await first.popularity.start()
    await mesh.pass(3 * INTERVAL_MS)
    assert.equal(first.popularity.view.pages, 1600)
    assert.equal(countKnown(first, common, 3), common.length)
    await mesh.end()
  })

  it('leaves nothing running when it stops in the middle of a round', async () => {
    for (let seed = 0; seed < 12; seed++) {
      const mesh = new TestMesh(seed)
      const { hosts } = await started(4, mesh)
      await mesh.pass(1_000 + seed * 1_300)
      await Promise.all(hosts.map(({ popularity }) => popularity.stop()))
      const sent = hosts.map(({ popularity }) => popularity.traffic.report.sentBytes)
      await mesh.pass(2 * INTERVAL_MS)
      assert.deepEqual(hosts.map(({ popularity }) => popularity.traffic.report.sentBytes), sent)
      await mesh.end()
    }
  })

  it('waits with its rounds while something more urgent needs the CPU', async () => {
    const { mesh, hosts, assertExact } = await started(3)
    const [first] = hosts as [TestHost]
    const holds = [first.popularity.standBack(), first.popularity.standBack()]
    await mesh.pass(2 * INTERVAL_MS)
    const answersBytes = first.popularity.traffic.report.sentBytes
    assert.ok(answersBytes < 50, 'it takes what others report, which is little work, and reports nothing')
    assert.equal(first.popularity.view.pages, 0)
    holds[0]!()
    holds[0]!()
    await mesh.pass(INTERVAL_MS)
    assert.ok(first.popularity.traffic.report.sentBytes < answersBytes + 50, 'it was asked twice')
    assert.equal(first.popularity.view.pages, 0)
    holds[1]!()
    await mesh.pass(2 * INTERVAL_MS)
    for (const host of hosts) assertExact(host)
    await mesh.end()
  })
})
