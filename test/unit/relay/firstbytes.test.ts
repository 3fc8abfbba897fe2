import assert from 'node:assert/strict'

import { beginningOf } from '../../../src/relay/firstbytes.ts'

const UUID = '00112233445566778899aabbccddeeff'

describe('the first bytes of a connection', () => {
  const kinds: [string, string, ReturnType<typeof beginningOf>][] = [
    ['a migration', '5145564d00000003', { kind: 'main' }],
    ['a multifd channel', `1122334400000001${UUID}00`, { kind: 'multifd', uuid: UUID }],
    ['a multifd channel of another version', `1122334400000002${UUID}00`, { kind: 'other' }],
    ['a multifd channel cut short', `1122334400000001${UUID.slice(2)}`, { kind: 'other' }],
    ['a post-copy that goes on', '08000a00', { kind: 'resumed' }],
    ['a post-copy that goes on without bitmaps', '0800090000', { kind: 'resumed' }],
    ['another command', '0800010000', { kind: 'other' }],
    ['urgent pages', '0000000000001008', { kind: 'other' }],
    ['TLS', '16030100', { kind: 'other' }],
    ['too little', '514556', { kind: 'other' }],
  ]
  for (const [what, hex, expected] of kinds) {
    it(`tell ${what}`, () => assert.deepEqual(beginningOf(Buffer.from(hex, 'hex')), expected))
  }

  it('tell nothing where there are none', () => assert.deepEqual(beginningOf(undefined), { kind: 'other' }))
})
