import assert from 'node:assert/strict'

import { InvalidArgumentError } from 'commander'

import { channelsArgument } from '../../../src/cli/arguments.ts'

describe('an argument of the command line', () => {
  it('is a number of channels, 1 to 16, or auto', () => {
    assert.deepEqual(['1', '2', '16', 'auto'].map(channelsArgument), [1, 2, 16, 'auto'])
    for (const text of ['0', '17', '100', '-1', '2.5', '4 ', '0x4', '1e1', 'many', 'Auto', '']) {
      assert.throws(() => channelsArgument(text), (error) =>
        error instanceof InvalidArgumentError && /from 1 to 16, or auto/.test(error.message), text)
    }
  })
})
