import assert from 'node:assert/strict'
import fc from 'fast-check'

import { InFlight } from '../../../src/swap/inflight.ts'

describe('what is in flight', () => {
  it('is there from add to remove, whatever else comes and goes', () => {
    // Few first bits, so that slots are fought for, also around the end of the table.
    const prefix = fc.tuple(fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff, 0xf800_0000), fc.nat(3))
    fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), prefix), { maxLength: 200 }), (steps) => {
      const inFlight = new InFlight(8)
      const model = new Set<string>()
      for (const [isAdd, [high, low]] of steps) {
        const key = `${high} ${low}`
        if (isAdd) {
          assert.equal(inFlight.add(high, low), !model.has(key) && model.size < 8)
          if (model.size < 8) model.add(key)
        } else {
          inFlight.remove(high, low)
          model.delete(key)
        }
        assert.equal(inFlight.size, model.size)
        for (const other of [0, 1, 0x7fff_ffff, 0xffff_ffff, 0xf800_0000]) {
          for (let low = 0; low < 4; low++) assert.equal(inFlight.has(other, low), model.has(`${other} ${low}`))
        }
      }
    }))
  })
})
