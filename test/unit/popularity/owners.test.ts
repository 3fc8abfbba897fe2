import assert from 'node:assert/strict'

import fc from 'fast-check'

import { hostTag, OWNERS_MAX, RANKED_MAX, SliceOwners } from '../../../src/popularity/owners.ts'
import { SLICE_COUNT } from '../../../src/popularity/slice.ts'
import { memberNamed, membersNamed, ownersOf } from './made.ts'

const SLICES = Array.from({ length: SLICE_COUNT }, (_, slice) => slice)
const hosts = (count: number): string[] => Array.from({ length: count }, (_, index) => `host-${index}`)

/** The whole ranking, slice by slice. */
function rankingOf(owners: SliceOwners): (string | undefined)[] {
  return SLICES.flatMap((slice) => Array.from({ length: RANKED_MAX }, (_, rank) => owners.at(slice, rank)))
}

describe('the owners of slices', () => {
  it('are the same for all who know the same members, however these came and went', () => {
    const names = hosts(14)
    fc.assert(fc.property(fc.array(fc.subarray(names), { minLength: 1, maxLength: 8 }), (steps) => {
      const owners = ownersOf([])
      let before: string[] = []
      for (const step of steps) {
        const left = owners.update(membersNamed(['self', ...step]))
        assert.deepEqual(left.sort(), before.filter((name) => !step.includes(name)).sort())
        before = step
      }
      const fresh = ownersOf([...before, 'self'].reverse())
      assert.equal(owners.hostCount, before.length + 1)
      assert.deepEqual(rankingOf(owners), rankingOf(fresh))
    }), { numRuns: 30 })
  })

  it('are all drawn anew with another key, as if there had never been the first', () => {
    const owners = ownersOf(hosts(9))
    const before = rankingOf(owners)
    owners.rekey(new Uint8Array(32).fill(77))
    assert.notDeepEqual(rankingOf(owners), before)
    assert.equal(owners.hostCount, 9)
    const fresh = new SliceOwners({ key: new Uint8Array(32).fill(77) })
    fresh.update(membersNamed(hosts(9)))
    assert.deepEqual(rankingOf(owners), rankingOf(fresh))
    for (const name of hosts(9)) assert.equal(owners.nameOfTag(hostTag(name)), name)
  })

  it('are all ranked differently, as many as there are', () => {
    for (const count of [1, 2, 3, 4, 9]) {
      const owners = ownersOf(hosts(count))
      for (const slice of SLICES) {
        const ranked = Array.from({ length: RANKED_MAX }, (_, rank) => owners.at(slice, rank))
          .filter((name) => name !== undefined)
        assert.equal(new Set(ranked).size, Math.min(count, RANKED_MAX))
        for (const [rank, name] of ranked.entries()) {
          assert.equal(owners.rankOf(name, slice), rank)
          assert.equal(owners.tagAt(slice, rank), hostTag(name))
          assert.equal(owners.owns(name, slice), rank < owners.ownersPerSlice)
        }
      }
      assert.equal(owners.at(0, count), count < RANKED_MAX ? undefined : owners.at(0, count))
      assert.equal(owners.rankOf('stranger', 0), -1)
    }
  })

  it('are all hosts where there are three or fewer, and two where there are more', () => {
    for (const count of [1, 2, 3]) {
      const owners = ownersOf(hosts(count))
      assert.equal(owners.allOwn, true)
      assert.ok(SLICES.every((slice) => hosts(count).every((name) => owners.owns(name, slice))))
    }
    const owners = ownersOf(hosts(4))
    assert.equal(owners.allOwn, false)
    assert.ok(SLICES.every((slice) => hosts(4).filter((name) => owners.owns(name, slice)).length === OWNERS_MAX))
  })

  it('come from a peer id and the cluster key, and not from a name that a member may choose', () => {
    const others = membersNamed(hosts(8))
    const sliceShares = (name: string, peerId: string, key: number): number[] => {
      const owners = new SliceOwners({ key: new Uint8Array(32).fill(key) })
      owners.update([...others, { name, peerId }])
      return SLICES.filter((slice) => owners.owns(name, slice))
    }
    const own = sliceShares('liar', 'one', 1)
    for (let grind = 0; grind < 20; grind++) assert.deepEqual(sliceShares(`liar-${grind}`, 'one', 1), own)
    assert.notDeepEqual(sliceShares('liar', 'another', 1), own)
    assert.notDeepEqual(sliceShares('liar', 'one', 2), own)
  })

  it('move when a host comes back under another identity', () => {
    const owners = ownersOf(hosts(6))
    const before = rankingOf(owners)
    const changed = [...membersNamed(hosts(5)), { ...memberNamed('host-5'), peerId: 'new' }]
    assert.deepEqual(owners.update(changed), ['host-5'])
    assert.equal(owners.hostCount, 6)
    assert.notDeepEqual(rankingOf(owners), before)
    assert.deepEqual(owners.update(membersNamed(hosts(6))), ['host-5'])
    assert.deepEqual(rankingOf(owners), before)
  })

  it('have an even share each', () => {
    for (const count of [4, 10, 100]) {
      const owners = ownersOf(hosts(count))
      for (const rank of [0, 1]) {
        const shares = new Map(hosts(count).map((name) => [name, 0]))
        for (const slice of SLICES) shares.set(owners.at(slice, rank)!, shares.get(owners.at(slice, rank)!)! + 1)
        const mean = SLICE_COUNT / count
        // Five standard deviations of a fair draw.
        const off = 5 * Math.sqrt(mean * (1 - 1 / count))
        for (const [name, share] of shares) assert.ok(Math.abs(share - mean) < off, `${name} has ${share}`)
      }
    }
  })

  it('move with those who come and go, and none else', () => {
    const names = hosts(20)
    const owners = ownersOf(names)
    const before = rankingOf(owners)
    assert.deepEqual(owners.update(membersNamed(names.filter((name) => name !== 'host-7'))), ['host-7'])
    for (const slice of SLICES) {
      const was = before.slice(slice * RANKED_MAX, (slice + 1) * RANKED_MAX).filter((name) => name !== 'host-7')
      for (const [rank, name] of was.entries()) assert.equal(owners.at(slice, rank), name)
    }
    owners.update(membersNamed(names))
    assert.deepEqual(rankingOf(owners), before)
  })

  it('are found by their tags while they are here, also beside one that has taken the same tag', () => {
    const owners = ownersOf(hosts(5))
    assert.equal(owners.nameOfTag(hostTag('host-3')), 'host-3')
    owners.update(membersNamed(hosts(3)))
    assert.equal(owners.nameOfTag(hostTag('host-3')), undefined)
    // A member can choose its name, and try names until one has the tag of another.
    const [first, second] = ['h10v16vbe3wzje', 'h1ioryxo1cq9yld'] as const
    assert.equal(hostTag(first), hostTag(second))
    owners.update(membersNamed(['self', first]))
    owners.update(membersNamed(['self', first, second]))
    assert.equal(owners.nameOfTag(hostTag(first)), first)
    owners.update(membersNamed(['self', first]))
    assert.equal(owners.nameOfTag(hostTag(first)), first)
    owners.update(membersNamed(['self', first, second]))
    owners.update(membersNamed(['self', second]))
    assert.equal(owners.nameOfTag(hostTag(first)), second)
    owners.update(membersNamed(['self']))
    assert.equal(owners.nameOfTag(hostTag(first)), undefined)
  })
})
