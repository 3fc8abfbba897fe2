import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

import { canPassDescriptors, connectedPair, passDescriptor } from '../../../../src/page/index.ts'

describe('the kernel, for another process', () => {
  before(function () {
    if (!canPassDescriptors()) this.skip()
  })

  it('passes a descriptor with a space, and keeps its own', async () => {
    const [over, other] = connectedPair()
    const [ours, theirs] = connectedPair()
    passDescriptor(over, theirs)
    assert.ok(fstatSync(theirs).isSocket())
    closeSync(theirs)
    // Its duplicate is on the way.
    const end = new Socket({ fd: ours })
    await new Promise((resolve) => end.write('x', resolve))
    assert.equal(end.writable, true)
    // Whoever reads without asking for descriptors, as here, closes them.
    end.on('error', () => {})
    const ended = new Promise((resolve) => end.resume().once('close', resolve))
    const reader = new Socket({ fd: other })
    assert.equal(String((await once(reader, 'data'))[0]), ' ')
    await ended
    reader.destroy()
    closeSync(over)
  })

  it('passes nothing over what is no connection, and nothing that is no descriptor', () => {
    const pair = connectedPair()
    for (const [over, fd] of [[-1, pair[0]], [pair[0], 99_999], [pair[0], -1]] as const) {
      assert.throws(() => passDescriptor(over, fd), { code: 'EBADF' })
    }
    const file = openSync('/dev/null', 'r')
    assert.throws(() => passDescriptor(file, pair[0]), { code: 'EIO' })
    for (const fd of [file, ...pair]) closeSync(fd)
    for (const wrong of [[], [1], [1, 'x'], ['x', 1]]) {
      assert.throws(() => Reflect.apply(passDescriptor, undefined, wrong), { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })
})
