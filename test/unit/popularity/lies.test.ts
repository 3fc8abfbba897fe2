/** What one lying member can make the others believe. */
import assert from 'node:assert/strict'

import type { PrefixRun } from '../../../src/page/index.ts'
import { encodeBulletin } from '../../../src/popularity/bulletin/bulletincodec.ts'
import { GROUP_KIND } from '../../../src/popularity/bulletin/bulletingroups.ts'
import type { HeldPages } from '../../../src/popularity/index.ts'
import { highOf, lowOf, REST_LIMIT, SLICE_COUNT, sliceOf } from '../../../src/popularity/slice.ts'
import { bulletinGroup } from './made.ts'
import { countKnown, INTERVAL_MS, ownersAmong, TestMesh, type PlacedPage, type TestHost } from './mesh.ts'

const TOPIC = '/pagemesh/popular/2'
const LIE_PAGES_PER_SLICE = 25
const SLICES = Array.from({ length: SLICE_COUNT }, (_, slice) => slice)
const lieRest = (index: number): number => Math.floor((index * REST_LIMIT) / LIE_PAGES_PER_SLICE) + 1

/** Claims a hundred thousand pages, and one of each slice that another host really holds, with 1024 guests each. */
const liesAboutAll: HeldPages = {
  generation: 1,
  stablePages(firstHigh: number, _lastHigh: number, into: PrefixRun): void {
    const slice = sliceOf(firstHigh)
    into.push(highOf(slice, 0), lowOf(0), 1024)
    for (const { rest } of lies(slice)) into.push(highOf(slice, rest), lowOf(rest), 1024)
  },
}

function lies(slice: number): PlacedPage[] {
  return Array.from({ length: LIE_PAGES_PER_SLICE }, (_, index) => ({ slice, rest: lieRest(index) }))
}

/** Pages that the liar names too, and others. */
const TRUE_PAGES: PlacedPage[] = SLICES.filter((slice) => slice % 8 === 0).map((slice) => ({ slice, rest: 0 }))
const OTHER_PAGES: PlacedPage[] = SLICES.filter((slice) => slice % 8 === 1).map((slice) => ({ slice, rest: 77 }))

function hold(host: TestHost, pages: readonly PlacedPage[]): void {
  for (const { slice, rest } of pages) host.held.set(slice, rest, 1)
}

describe('one lying member', function () {
  this.timeout(120_000)

  it('makes none of a hundred thousand pages popular alone, and others\' more popular by one host only', async () => {
    for (const count of [2, 4]) {
      const mesh = new TestMesh(5)
      for (let index = 0; index < count; index++) {
        hold(await mesh.add(`host-${index}`), TRUE_PAGES.slice(index === 0 ? 0 : 100))
      }
      await mesh.add('liar', liesAboutAll)
      await mesh.pass(5 * INTERVAL_MS)
      for (const host of mesh.hosts.slice(0, count)) {
        assert.equal(countKnown(host, SLICES.flatMap((slice) => lies(slice)), 0), SLICE_COUNT * LIE_PAGES_PER_SLICE)
        assert.equal(countKnown(host, TRUE_PAGES.slice(0, 100), 2, 1025), 100, 'one host has these, and the liar')
        assert.equal(countKnown(host, TRUE_PAGES.slice(100), count + 1, count + 1024), TRUE_PAGES.length - 100)
        assert.equal(host.popularity.view.pages, TRUE_PAGES.length)
      }
      await mesh.end()
    }
  })

  it('that publishes what it likes is believed of its own slices alone', async () => {
    const mesh = new TestMesh(6)
    for (let index = 0; index < 6; index++) {
      const host = await mesh.add(`host-${index}`)
      hold(host, TRUE_PAGES)
      hold(host, OTHER_PAGES)
    }
    const liar = await mesh.addPeer('liar')
    await mesh.pass(5 * INTERVAL_MS)
    const owners = ownersAmong([...mesh.hosts.map((host) => host.mesh), liar])
    const claims = { rest: 666, hosts: 7, guests: 7, holders: [] }
    for (let from = 0, version = 1; from < SLICE_COUNT; from += 1024, version++) {
      const groups = SLICES.slice(from, from + 1024).map((slice) =>
        bulletinGroup({ slice, kind: GROUP_KIND.whole, version, publisher: 0, incarnation: 9 }, [claims]))
      await liar.publish(TOPIC, encodeBulletin({ incarnation: 9, groups }))
    }
    await mesh.pass(INTERVAL_MS)
    for (const host of mesh.hosts) {
      for (const slice of SLICES) {
        const isBelieved = countKnown(host, [{ slice, rest: 666 }], 7) === 1
        assert.ok(!isBelieved || owners.owns('liar', slice), `slice ${slice} is no slice of the liar's`)
      }
      const others = [...TRUE_PAGES, ...OTHER_PAGES].filter(({ slice }) => !owners.owns('liar', slice))
      assert.equal(countKnown(host, others, 6), others.length)
      assert.ok(host.popularity.refusals['not-owner']! > 0)
    }
    await mesh.end()
  })

  it('that lost its standing is not heard: neither its reports nor its bulletins', async () => {
    const mesh = new TestMesh(7)
    for (let index = 0; index < 4; index++) hold(await mesh.add(`host-${index}`), TRUE_PAGES)
    const known = await mesh.add('known')
    hold(known, [...TRUE_PAGES, ...OTHER_PAGES])
    for (const { standing } of mesh.hosts) standing.fault(known.mesh.self.peerId, 1000)
    await mesh.pass(3 * INTERVAL_MS)
    const owners = ownersAmong(mesh.hosts.map((host) => host.mesh))
    const others = TRUE_PAGES.filter(({ slice }) => !owners.owns('known', slice))
    for (const host of mesh.hosts.slice(0, 4)) {
      assert.equal(countKnown(host, others, 4), others.length, 'the four that are trusted are counted')
      assert.ok(host.popularity.refusals['untrusted']! > 0)
    }
    // The slices that it should publish come from the next owner, once it has been silent for long.
    await mesh.pass(14 * INTERVAL_MS)
    for (const host of mesh.hosts.slice(0, 4)) assert.equal(countKnown(host, TRUE_PAGES, 4), TRUE_PAGES.length)
    await mesh.end()
  })

  it('or a stranger that gossips nonsense is counted and not heard', async () => {
    const mesh = new TestMesh(8)
    for (let index = 0; index < 4; index++) hold(await mesh.add(`host-${index}`), TRUE_PAGES)
    await mesh.pass(4 * INTERVAL_MS)
    const [first, second] = mesh.hosts as [TestHost, TestHost]
    const bulletin = encodeBulletin({ incarnation: 9, groups: SLICES.slice(0, 900).map((slice) =>
      bulletinGroup({ slice, kind: GROUP_KIND.whole, version: 99, publisher: 0, incarnation: 9 }, [])) })
    first.hear(bulletin, 'a-stranger')
    assert.deepEqual(first.popularity.refusals, { stranger: 1 })
    for (let times = 0; times < 4; times++) first.hear(Uint8Array.of(9, 9), second.mesh.self.peerId)
    assert.deepEqual(first.popularity.refusals, { stranger: 1, malformed: 4 })
    assert.equal(first.standing.isTrusted(second.mesh.self.peerId), false)
    assert.equal(countKnown(first, TRUE_PAGES, 4), TRUE_PAGES.length)
    await mesh.end()
  })
})
