import assert from 'node:assert/strict'

import fc from 'fast-check'

import { oldestSlots } from '../../../src/store/oldest.ts'
import { SLOT, Slots } from '../../../src/store/slots.ts'
import { SlotTable } from '../../../src/store/slottable.ts'
import { Victims } from '../../../src/store/victims.ts'
import { seededRandom } from '../../support/random.ts'

describe('the table of a store', () => {
  /** Few halves, close together and at the ends, so that entries run into each other and around. */
  const any = fc.integer({ min: 0, max: 0xffff_ffff })
  const high = fc.oneof(fc.nat(6), fc.nat(6).map((back) => 0xffff_ffff - back), any)
  const low = fc.oneof(fc.nat(3), any)
  const step = fc.record({ isRemoval: fc.boolean(), high, low })

  it('adds, removes and finds like a map', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const slots = new Slots(1000)
      const table = new SlotTable(slots)
      const model = new Map<string, number>()
      for (const { isRemoval, ...prefix } of steps) {
        const key = `${prefix.high} ${prefix.low}`
        const there = model.get(key)
        assert.equal(table.find(prefix.high, prefix.low), there ?? -1)
        if (isRemoval && there !== undefined) {
          table.remove(there)
          slots.setState(there, SLOT.free)
          model.delete(key)
        } else if (!isRemoval) {
          const slot = slots.take()
          slots.fill(slot, prefix.high, prefix.low, SLOT.head, 0, 0)
          assert.equal(table.add(slot), there === undefined)
          if (there === undefined) model.set(key, slot)
          else slots.setState(slot, SLOT.free)
        }
        assert.equal(table.size, model.size)
        assert.equal(slots.pages, model.size)
      }
      for (const [key, slot] of model) {
        const [foundHigh, foundLow] = key.split(' ').map(Number) as [number, number]
        assert.equal(table.find(foundHigh, foundLow), slot)
        for (const bits of [32, 40, 63]) {
          const mask = bits === 32 ? 0 : -1 << (64 - bits)
          const found = table.find(foundHigh, (foundLow & mask) >>> 0, bits)
          assert.equal(slots.prefixes[found * 2], foundHigh)
          assert.equal((slots.prefixes[found * 2 + 1]! & mask) >>> 0, (foundLow & mask) >>> 0)
        }
      }
    }), { numRuns: 300 })
  })

  it('takes at most 24 bytes a page, whatever their number', () => {
    const random = seededRandom(1)
    const slots = new Slots(2 ** 20)
    const table = new SlotTable(slots)
    for (let count = 1; count <= 300_000; count++) {
      const slot = slots.take()
      slots.fill(slot, random() * 2 ** 32, random() * 2 ** 32, SLOT.tail, 0, 0)
      table.add(slot)
      if (count >= 20_000 && count % 1000 === 0) {
        assert.ok((slots.bytes + table.bytes) / count <= 24, `${(slots.bytes + table.bytes) / count} at ${count}`)
      }
    }
  })
})

describe('slots', () => {
  it('are given the lowest first, and to the last one', () => {
    fc.assert(fc.property(fc.array(fc.nat(40), { maxLength: 200 }), (steps) => {
      const slots = new Slots(30)
      const taken = new Set<number>()
      for (const step of steps) {
        if (taken.has(step)) {
          slots.setState(step, SLOT.free)
          taken.delete(step)
          continue
        }
        const expected = Array.from({ length: 30 }, (_, slot) => slot).find((slot) => !taken.has(slot)) ?? -1
        assert.equal(slots.take(), expected)
        if (expected >= 0) taken.add(expected)
      }
    }))
  })
})

describe('the pages that give way', () => {
  const states = fc.array(fc.record({ state: fc.integer({ min: 0, max: 4 }), time: fc.oneof(
    fc.nat(5), fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 1_700_000_000, max: 1_700_001_000 }),
  ) }), { maxLength: 60 })

  const slotsOf = (given: readonly { state: number; time: number }[]): Slots => {
    const slots = new Slots(100)
    slots.setCount(given.length)
    given.forEach(({ state, time }, slot) => slots.fill(slot, slot, 0, state, 0, time))
    return slots
  }

  it('are the oldest of their kind', () => {
    fc.assert(fc.property(states, fc.integer({ min: 1, max: 20 }), (given, countMax) => {
      const slots = slotsOf(given)
      const found = [...oldestSlots(slots, SLOT.departed, countMax)]
      const times = given.filter(({ state }) => state === SLOT.departed).map(({ time }) => time).sort((a, b) => a - b)
      assert.deepEqual(found.map((slot) => slots.times[slot]), times.slice(0, countMax))
      assert.equal(new Set(found).size, found.length)
      assert.ok(found.every((slot) => slots.states[slot] === SLOT.departed))
    }))
  })

  it('go one after the other until none is left, those that were put again last', () => {
    const slots = slotsOf(Array.from({ length: 50 }, (_, slot) => ({ state: SLOT.departed, time: 1000 - slot })))
    const victims = new Victims(slots)
    const went: number[] = []
    for (let slot = victims.next(); slot >= 0; slot = victims.next()) {
      slots.setState(slot, SLOT.free)
      went.push(slot)
      if (went.length === 3) slots.times[46] = 2000
    }
    const rest = Array.from({ length: 46 }, (_, index) => 45 - index)
    assert.deepEqual(went, [49, 48, 47, ...rest, 46])
  })
})
