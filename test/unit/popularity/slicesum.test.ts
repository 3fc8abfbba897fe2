import assert from 'node:assert/strict'

import fc from 'fast-check'

import { mix } from '../../../src/popularity/owners.ts'
import { HOLDERS_MAX, PopularRun } from '../../../src/popularity/popularrun.ts'
import { REST_LIMIT } from '../../../src/popularity/slice.ts'
import { SliceSum } from '../../../src/popularity/slicesum.ts'
import { seededRandom } from '../../support/random.ts'
import { popularPagesOf, restsOf } from './made.ts'

const RESTS = [0, 1, 2, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 3 * 2 ** 32, REST_LIMIT - 1]
const held = fc.uniqueArray(fc.record({
  rest: fc.oneof(fc.constantFrom(...RESTS), fc.maxSafeNat().map((value) => value % REST_LIMIT)),
  guests: fc.constantFrom(1, 2, 1024, 40_000), host: fc.integer({ min: 1, max: 6 }),
}), { selector: ({ rest, host }) => `${rest} ${host}`, maxLength: 80 })

describe('the sum of a slice', () => {
  it('is what a plain map adds up, however often it is used', () => {
    fc.assert(fc.property(fc.array(held, { maxLength: 4 }), fc.constantFrom(1, 2, 3), (rounds, minHosts) => {
      const sum = new SliceSum(99, 1)
      for (const round of rounds) {
        const model = new Map<number, { guests: number; hosts: Set<number> }>()
        sum.clear()
        for (const { rest, guests, host } of round) {
          sum.add(rest, guests, host)
          const page = model.get(rest) ?? { guests: 0, hosts: new Set() }
          model.set(rest, { guests: Math.min(65_535, page.guests + guests), hosts: page.hosts.add(host) })
        }
        const expected = [...model].filter(([, { hosts }]) => hosts.size >= minHosts).sort(([a], [b]) => a - b)
        const run = new PopularRun()
        sum.popular(minHosts, run)
        const found = popularPagesOf(run)
        assert.deepEqual(found.map(({ rest, guests, hosts }) => [rest, guests, hosts]),
          expected.map(([rest, { guests, hosts }]) => [rest, guests, hosts.size]))
        for (const [index, [, { hosts }]] of expected.entries()) {
          const named = found[index]!.holders.filter((tag) => tag !== 0)
          assert.equal(new Set(named).size, Math.min(HOLDERS_MAX, hosts.size))
          assert.ok(named.every((tag) => hosts.has(tag)))
        }
      }
    }), { numRuns: 300 })
  })

  it('names the same holders in whatever order their reports came, and each host about as often', () => {
    const hosts = Array.from({ length: 12 }, (_, index) => mix(index + 1))
    const [forward, backward] = [new SliceSum(1), new SliceSum(2)]
    const rests = restsOf(seededRandom(4), 3000)
    for (const host of hosts) for (const rest of rests) forward.add(rest, 1, host)
    for (const host of [...hosts].reverse()) for (const rest of rests) backward.add(rest, 1, host)
    const [one, other] = [new PopularRun(), new PopularRun()]
    forward.popular(2, one)
    backward.popular(2, other)
    assert.deepEqual(popularPagesOf(one), popularPagesOf(other))
    const named = new Map<number, number>()
    for (const tag of one.holders.subarray(0, one.count * HOLDERS_MAX)) named.set(tag, (named.get(tag) ?? 0) + 1)
    const mean = (rests.length * HOLDERS_MAX) / hosts.length
    for (const host of hosts) {
      assert.ok(Math.abs(named.get(host)! - mean) < 6 * Math.sqrt(mean), `${named.get(host)} of ${mean}`)
    }
  })

  it('counts a host once a page: one that lies about its guests raises hosts by one', () => {
    const sum = new SliceSum(1)
    for (let host = 1; host <= 3; host++) sum.add(7, 1, host)
    for (let rest = 0; rest < 100_000; rest++) sum.add(rest, 1024, 4)
    const run = new PopularRun()
    sum.popular(2, run)
    assert.deepEqual(popularPagesOf(run).map(({ rest, hosts }) => [rest, hosts]), [[7, 4]])
  })

  it('is not slowed by prefixes that were chosen to meet, since nobody knows its seed', () => {
    const seed = 12345
    // Rests whose slots are the same in a table of this seed: the low bits of their hash are those of one.
    const chosen: number[] = []
    for (let low = 0; chosen.length < 6000; low++) if ((mix(low ^ mix(seed)) & 0x3fff) === 77) chosen.push(low)
    const spread = restsOf(seededRandom(8), chosen.length)
    // So many rounds that the code is compiled, and the least counts: that of our work alone.
    const time = (rests: readonly number[], ownSeed: number): number => {
      let least = Infinity
      for (let round = 0; round < 60; round++) {
        const sum = new SliceSum(ownSeed)
        const began = performance.now()
        for (const rest of rests) sum.add(rest, 1, 1)
        least = Math.min(least, performance.now() - began)
      }
      return least
    }
    const usual = time(spread, seed)
    assert.ok(time(chosen, seed) > 10 * usual, 'who knows the seed can slow it')
    assert.ok(time(chosen, seed + 1) < 5 * usual)
  })

  it('that was large once does not make those after it slow', () => {
    const few = restsOf(seededRandom(9), 100)
    const sum = new SliceSum(1)
    const round = (): number => {
      const began = performance.now()
      for (let slice = 0; slice < 50; slice++) {
        sum.clear()
        for (const rest of few) sum.add(rest, 1, 1)
        sum.popular(2, new PopularRun(0))
      }
      return performance.now() - began
    }
    const before = Math.min(round(), round(), round())
    sum.clear()
    for (let rest = 0; rest < 500_000; rest++) sum.add(rest, 1, 1)
    round()
    assert.ok(Math.min(round(), round(), round()) < 20 * before)
  })
})
