import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'

import { MESSAGE_BYTES_MAX } from '../../../../src/mesh/index.ts'
import { MemoryStream } from '../../../../src/mesh/memory/memorystream.ts'
import { MESSAGE_OVERHEAD_BYTES } from '../../../../src/mesh/streams/inbox.ts'

/** Everything that waits in this thread has had its turn. */
const settled = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
const WHOLE = new Uint8Array(MESSAGE_BYTES_MAX)

function paired() {
  const closed: string[] = []
  const [near, far] = MemoryStream.pair((end) => closed.push(end === near ? 'near' : 'far'))
  return { near, far, closed }
}

/** Sends as much as waits for its receiver at most, less one message: the next `send` waits. */
async function fill(stream: MemoryStream): Promise<void> {
  for (let count = 0; count < 3; count++) await stream.send(WHOLE)
}

describe('a stream inside one process', () => {
  it('carries copies of messages both ways, in order', async () => {
    const { near, far } = paired()
    const message = Uint8Array.of(1)
    await near.send(message)
    message[0] = 9
    await near.send(Uint8Array.of(2))
    await far.send(Uint8Array.of(3))
    const received = [await far.receive(), await far.receive(), await near.receive()]
    assert.deepEqual(received.map(([byte]) => byte), [1, 2, 3])
    await near.send(WHOLE)
    await assert.rejects(near.send(new Uint8Array(MESSAGE_BYTES_MAX + 1)), { code: 'message-too-long' })
  })

  it('holds the sender back at 256 KiB that nobody received', async () => {
    const { near, far } = paired()
    await fill(near)
    // A byte less than what is held back, with what each message takes besides.
    await near.send(WHOLE.subarray(4 * MESSAGE_OVERHEAD_BYTES + 1))
    let isSent = false
    const sending = near.send(Uint8Array.of(1)).then(() => { isSent = true })
    await settled()
    assert.equal(isSent, false)
    await far.receive()
    await sending
  })

  it('ends a wait with its signal, and leaves nothing there', async () => {
    const { near, far } = paired()
    await fill(near)
    const abort = new AbortController()
    const givenUp = near.send(WHOLE, abort.signal)
    await settled()
    assert.equal(getEventListeners(abort.signal, 'abort').length, 1)
    abort.abort(new Error('enough'))
    await assert.rejects(givenUp, /enough/)
    await assert.rejects(near.send(WHOLE, abort.signal), /enough/)
    await assert.rejects(far.receive(abort.signal), /enough/)
    const { signal } = new AbortController()
    const sending = near.send(WHOLE, signal)
    for (let count = 0; count < 3; count++) await far.receive()
    await sending
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('closes this end once, and the other hears of it behind what was sent', async () => {
    const { near, far, closed } = paired()
    await near.send(Uint8Array.of(1))
    await far.send(Uint8Array.of(2))
    await near.close()
    await near.close()
    assert.deepEqual(closed, ['near'])
    await assert.rejects(near.receive(), { code: 'stream-ended' }, 'what it had not received is thrown away')
    await assert.rejects(near.send(Uint8Array.of(1)), { code: 'stream-ended' })
    assert.equal((await far.receive())[0], 1)
    await assert.rejects(far.receive(), { code: 'stream-ended' })
    near.break(new Error('late'))
    await assert.rejects(near.send(Uint8Array.of(1)), { code: 'stream-ended' })
    await far.close()
    assert.deepEqual(closed, ['near', 'far'])
  })

  it('breaks at both ends, whatever they wait for, and each says why', async () => {
    const { near, far, closed } = paired()
    await fill(near)
    const sending = assert.rejects(near.send(WHOLE), { code: 'stream-broken', cause: new Error('no more') })
    const receiving = assert.rejects(near.receive(), { code: 'stream-broken' })
    near.abort(new Error('no more'))
    near.abort(new Error('again'))
    await Promise.all([sending, receiving])
    assert.deepEqual(closed, ['near', 'far'])
    const cause = new Error('the other host broke the stream')
    await assert.rejects(far.receive(), { code: 'stream-broken', cause }, 'what had arrived is thrown away')
    await assert.rejects(far.send(WHOLE), { code: 'stream-broken', cause })
    await far.close()
  })

  it('may break at one end alone', async () => {
    const { near, far, closed } = paired()
    near.break(new Error('lost'))
    assert.deepEqual(closed, ['near'])
    await assert.rejects(near.receive(), { code: 'stream-broken' })
    await far.send(Uint8Array.of(1))
  })
})
