import assert from 'node:assert/strict'

import fc from 'fast-check'

import {
  decodeBulletin, decodeViewPart, encodeBulletin, encodeViewPart, pageBitsMax, TAG_BYTES,
} from '../../../../src/popularity/bulletin/bulletincodec.ts'
import { GROUP_KIND, type BulletinGroup, type GroupKind } from '../../../../src/popularity/bulletin/bulletingroups.ts'
import { HOLDERS_MAX } from '../../../../src/popularity/popularrun.ts'
import { REST_LIMIT, SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { seededRandom } from '../../../support/random.ts'
import { bulletinGroup, isRefusal, popularPagesOf, restsOf, type PopularPage } from '../made.ts'

const SELF = 0xdead_beef
const INCARNATION = 0xffff_ff00

const rest = fc.oneof(fc.maxSafeNat().map((value) => value % REST_LIMIT), fc.nat(9), fc.constant(REST_LIMIT - 1))
const page = (hostsMin: number): fc.Arbitrary<PopularPage> => fc.record({
  rest, more: fc.nat(60),
  hosts: fc.oneof(fc.integer({ min: hostsMin, max: 5 }), fc.integer({ min: hostsMin, max: 65_535 })),
  holders: fc.array(fc.constantFrom(0, 1, 2, 3, 0xffff_ffff), { minLength: HOLDERS_MAX, maxLength: HOLDERS_MAX }),
}).map(({ more, ...one }) => (one.hosts === 0 ? { ...one, guests: 0, holders: [0, 0, 0] }
  : { ...one, guests: Math.min(65_535, one.hosts + more) }))

const kinds = fc.constantFrom<GroupKind>(GROUP_KIND.still, GROUP_KIND.changes, GROUP_KIND.whole)
const group = (slice: number): fc.Arbitrary<BulletinGroup> => kinds.chain((kind) => fc.tuple(
  fc.nat(2 ** 32 - 2), fc.constantFrom(7, 8, SELF), fc.nat(0xffff_ffff),
  fc.uniqueArray(page(kind === GROUP_KIND.whole ? 1 : 0),
    { selector: (one) => one.rest, maxLength: kind === GROUP_KIND.still ? 0 : 10 }),
).map(([version, publisher, incarnation, pages]) => bulletinGroup({ slice, kind, version, publisher, incarnation },
  pages.sort((a, b) => a.rest - b.rest))))

const groups = fc.uniqueArray(fc.oneof(fc.nat(SLICE_COUNT - 1), fc.nat(4)), { maxLength: 10 })
  .chain((slices) => fc.tuple(...slices.sort((a, b) => a - b).map(group)))

const plain = (list: readonly BulletinGroup[]): unknown[] =>
  list.map(({ pages, ...head }) => ({ ...head, pages: popularPagesOf(pages) }))

describe('bulletins as bytes', () => {
  it('come back as they were, as their sender\'s own', () => {
    fc.assert(fc.property(groups, (list) => {
      const bulletin = decodeBulletin(encodeBulletin({ incarnation: INCARNATION, groups: list }), SELF)
      assert.equal(bulletin.incarnation, INCARNATION)
      const own = list.map((one) => ({ ...one, publisher: SELF, incarnation: INCARNATION }))
      assert.deepEqual(plain(bulletin.groups), plain(own))
    }), { numRuns: 300 })
  })

  it('that are parts of a view come back with whose they are', () => {
    fc.assert(fc.property(groups, fc.boolean(), (list, isLast) => {
      const part = decodeViewPart(encodeViewPart(list, isLast))
      assert.equal(part.isLast, isLast)
      assert.deepEqual(plain(part.groups), plain(list))
    }), { numRuns: 300 })
  })

  it('take no more than a publisher reckons with, and little more than their pages', () => {
    const random = seededRandom(2)
    const list = Array.from({ length: 64 }, (_, slice) => bulletinGroup(
      { slice: slice * 64, kind: GROUP_KIND.changes, version: 40, publisher: SELF, incarnation: 1 },
      restsOf(random, 30).map((value) =>
        ({ rest: value, guests: 3, hosts: 2, holders: [1 + Math.floor(random() * 20), 30, 0] })),
    ))
    const bytes = encodeBulletin({ incarnation: 1, groups: list }).length
    const pages = 64 * 30
    assert.ok(bytes * 8 <= pages * pageBitsMax(2, 3) + 21 * TAG_BYTES * 8 + 64 * 6 * 8)
    assert.ok(bytes / pages < 9.5, `${bytes / pages} bytes a page`)
  })

  it('name publishers before holders, where not all can be named', () => {
    const pages = Array.from({ length: 1000 }, (_, index) =>
      ({ rest: index * 2 ** 40, guests: 2, hosts: 2, holders: [3 * index + 10, 3 * index + 11, 3 * index + 12] }))
    const head = { kind: GROUP_KIND.whole, version: 1, incarnation: 1 }
    const part = decodeViewPart(encodeViewPart([
      bulletinGroup({ ...head, slice: 1, publisher: 7 }, pages),
      bulletinGroup({ ...head, slice: 2, publisher: 8 }, pages.slice(0, 1)),
    ], true))
    assert.deepEqual(part.groups.map(({ publisher }) => publisher), [7, 8])
    assert.deepEqual(popularPagesOf(part.groups[0]!.pages)[0]!.holders, [10, 11, 12])
    assert.deepEqual(popularPagesOf(part.groups[0]!.pages)[999]!.holders, [0, 0, 0])
  })

  it('cut short anywhere, or with something behind their end, are refused', () => {
    const pages = restsOf(seededRandom(1), 9).map((value) => ({ rest: value, guests: 9, hosts: 4, holders: [1, 2, 3] }))
    const list = [1, 2, 4000].map((slice) =>
      bulletinGroup({ slice, kind: GROUP_KIND.whole, version: 3, publisher: SELF, incarnation: 5 }, pages))
    for (const [bytes, decode] of [
      [encodeBulletin({ incarnation: 5, groups: list }), (input: Uint8Array) => decodeBulletin(input, SELF)],
      [encodeViewPart(list, true), decodeViewPart],
    ] as const) {
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decode(bytes.subarray(0, length)), isRefusal('bad-bulletin'))
      }
      assert.throws(() => decode(Uint8Array.from([...bytes, 0])), isRefusal('bad-bulletin', 'malformed'))
    }
  })

  it('of another version or with unknown flags are refused', () => {
    const bulletin = encodeBulletin({ incarnation: 5, groups: [] })
    const part = encodeViewPart([], true)
    const changed = (bytes: Uint8Array, at: number, byte: number): Uint8Array =>
      Uint8Array.from(bytes).fill(byte, at, at + 1)
    const bulletins = [[0, 0], [0, 2], [1, 1], [1, 4]] as const
    for (const bytes of [...bulletins.map(([at, byte]) => changed(bulletin, at, byte)), part]) {
      assert.throws(() => decodeBulletin(bytes, SELF), isRefusal('bad-bulletin', 'malformed'))
    }
    for (const bytes of [changed(part, 0, 2), changed(part, 1, 0), changed(part, 1, 7), bulletin]) {
      assert.throws(() => decodeViewPart(bytes), isRefusal('bad-bulletin', 'malformed'))
    }
  })

  it('in which a whole slice has pages that are not popular are refused', () => {
    const wrong = [bulletinGroup({ slice: 3, kind: GROUP_KIND.whole, version: 1, publisher: SELF, incarnation: 1 },
      [{ rest: 1, guests: 0, hosts: 0 }])]
    const bytes = encodeBulletin({ incarnation: 1, groups: wrong })
    assert.throws(() => decodeBulletin(bytes, SELF), isRefusal('bad-bulletin', 'contradictory'))
  })
})
