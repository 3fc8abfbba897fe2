import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'

import { Inbox, messageTooLong, streamBroken, streamEnded } from '../../../../src/mesh/streams/inbox.ts'
import { PagemeshError } from '../../../../src/runtime/errors.ts'

const message = (byte: number, length = 1): Uint8Array => new Uint8Array(length).fill(byte)

/** What a message counts besides its bytes. */
const OVERHEAD = 128

describe('an inbox', () => {
  it('gives messages in order, counts the bytes that wait, and says when one left', async () => {
    let taken = 0
    const inbox = new Inbox(() => { taken += 1 })
    inbox.push(message(1, 10))
    inbox.push(message(2, 5))
    assert.deepEqual([inbox.bytes, taken], [15 + 2 * OVERHEAD, 0])
    assert.equal((await inbox.receive())[0], 1)
    assert.deepEqual([inbox.bytes, taken], [5 + OVERHEAD, 1])
    assert.equal((await inbox.receive())[0], 2)
    assert.deepEqual([inbox.bytes, taken], [0, 2])
  })

  it('counts empty messages, too: a sender of nothing but those must be stopped', () => {
    const inbox = new Inbox(() => {})
    for (let count = 0; count < 1000; count++) inbox.push(message(0, 0))
    assert.equal(inbox.bytes, 1000 * OVERHEAD)
  })

  it('lets receivers wait in order, and does not keep what goes to one that waits', async () => {
    const inbox = new Inbox(() => {})
    const waiting = [inbox.receive(), inbox.receive()]
    inbox.push(message(1, 10))
    inbox.push(message(2, 10))
    assert.equal(inbox.bytes, 0)
    assert.deepEqual((await Promise.all(waiting)).map(([byte]) => byte), [1, 2])
  })

  it('loses no message to a receiver that gave up', async () => {
    const inbox = new Inbox(() => {})
    const abort = new AbortController()
    const first = inbox.receive()
    const givenUp = inbox.receive(abort.signal)
    const last = inbox.receive()
    abort.abort(new Error('enough'))
    await assert.rejects(givenUp, /enough/)
    assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
    inbox.push(message(1))
    inbox.push(message(2))
    assert.deepEqual([(await first)[0], (await last)[0]], [1, 2])
    inbox.push(message(3))
    await assert.rejects(inbox.receive(abort.signal), /enough/)
    assert.equal((await inbox.receive())[0], 3)
  })

  it('leaves nothing at a signal whose receiver was served', async () => {
    const inbox = new Inbox(() => {})
    const { signal } = new AbortController()
    const waiting = inbox.receive(signal)
    assert.equal(getEventListeners(signal, 'abort').length, 1)
    inbox.push(message(1))
    await waiting
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('gives what had arrived when it ends, and then the first error', async () => {
    const inbox = new Inbox(() => {})
    inbox.push(message(1))
    inbox.end(new Error('first'))
    inbox.end(new Error('second'))
    inbox.push(message(2))
    assert.equal((await inbox.receive())[0], 1)
    await assert.rejects(inbox.receive(), /first/)
    assert.equal(inbox.bytes, 0)
  })

  it('fails those who wait when it ends', async () => {
    const inbox = new Inbox(() => {})
    const waiting = [inbox.receive(), inbox.receive()].map((receiving) => assert.rejects(receiving, /over/))
    inbox.end(new Error('over'))
    await Promise.all(waiting)
  })

  it('may throw away what had arrived', async () => {
    const inbox = new Inbox(() => {})
    inbox.push(message(1, 10))
    inbox.end(new Error('over'), true)
    assert.equal(inbox.bytes, 0)
    await assert.rejects(inbox.receive(), /over/)
  })
})

describe('errors of a stream', () => {
  it('say whose fault it was, and keep their own words', () => {
    assert.deepEqual([streamEnded().code, streamEnded().fault], ['stream-ended', 'peer'])
    const cause = new Error('reset')
    const broken = streamBroken(cause)
    assert.deepEqual([broken.code, broken.fault, broken.cause], ['stream-broken', 'network', cause])
    const own = new PagemeshError('not-accepted', 'Ours.', { fault: 'host' })
    assert.equal(streamBroken(own), own)
    const { code, fault, data } = messageTooLong(10, 5)
    assert.deepEqual([code, fault, data], ['message-too-long', 'peer', { lengthBytes: 10, bytesMax: 5 }])
  })
})
