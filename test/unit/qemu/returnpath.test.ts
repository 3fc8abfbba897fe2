import assert from 'node:assert/strict'

import { ReturnPathEnd } from '../../../src/qemu/returnpath.ts'

function shutOf(...pieces: string[]): number | undefined {
  const end = new ReturnPathEnd()
  for (const piece of pieces) end.push(Buffer.from(piece, 'hex'))
  return end.shut
}

describe('the end of a return path', () => {
  it('says how the load ended, in pieces of any size', () => {
    assert.equal(shutOf('0001000400000000'), 0)
    assert.equal(shutOf('0001000400000001'), 1)
    assert.equal(shutOf('000200040000004200010004', '00000000'), 0)
    assert.equal(shutOf('0002000400000042', '', '00', '01', '00', '04', '00', '00', '00', '00'), 0)
  })

  it('says nothing otherwise', () => {
    assert.equal(shutOf(), undefined)
    assert.equal(shutOf('00010004000000'), undefined)
    assert.equal(shutOf('0002000400000000'), undefined)
    assert.equal(shutOf('000100040000000000'), undefined)
  })
})
