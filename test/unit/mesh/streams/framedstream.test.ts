import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'

import { FramedStream } from '../../../../src/mesh/streams/framedstream.ts'
import { VirtualClock } from '../../../support/time.ts'
import { FakeChannel } from './fakechannel.ts'

function started(messageBytesMax = 300_000) {
  const clock = new VirtualClock()
  const channel = new FakeChannel()
  return { clock, channel, stream: new FramedStream({ clock }, channel, { messageBytesMax }) }
}

const KIB = 1024

describe('a stream of messages', () => {
  it('sends whole frames, and receives them', async () => {
    const { channel, stream } = started()
    await stream.send(Uint8Array.of(7, 8))
    assert.deepEqual(channel.sent.map((bytes) => [...bytes]), [[0, 0, 0, 2, 7, 8]])
    channel.says(5)
    assert.deepEqual([...await stream.receive()], [5])
  })

  it('sends no message above the limit, and none of a given-up send', async () => {
    const { channel, stream } = started(10)
    await stream.send(new Uint8Array(10))
    await assert.rejects(stream.send(new Uint8Array(11)), { code: 'message-too-long' })
    await assert.rejects(stream.send(new Uint8Array(1), AbortSignal.abort(new Error('enough'))), /enough/)
    assert.equal(channel.sent.length, 1)
  })

  it('waits until there is room again, not only until something was taken', async () => {
    const { channel, clock, stream } = started()
    channel.needsDrain = true
    let isSent = false
    void stream.send(new Uint8Array(1)).then(() => { isSent = true })
    channel.peer.drain()
    await clock.run(1)
    assert.equal(isSent, false)
    channel.needsDrain = false
    channel.peer.drain()
    await clock.run(2)
    assert.deepEqual([isSent, clock.pendingCount], [true, 0])
  })

  it('ends a wait for room with its signal, and goes on', async () => {
    const { channel, stream } = started()
    channel.needsDrain = true
    const abort = new AbortController()
    const sending = stream.send(new Uint8Array(1), abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(sending, /enough/)
    assert.deepEqual(channel.calls, [])
  })

  it('leaves nothing at the signal of a wait for room that is over, however it ended', async () => {
    const { channel, clock, stream } = started()
    channel.needsDrain = true
    const { signal } = new AbortController()
    const sending = stream.send(new Uint8Array(1), signal)
    await clock.run(1)
    assert.equal(getEventListeners(signal, 'abort').length, 1)
    channel.needsDrain = false
    channel.peer.drain()
    await sending
    channel.needsDrain = true
    const failing = assert.rejects(stream.send(new Uint8Array(1), signal))
    channel.peer.closed(new Error('reset'))
    await failing
    assert.deepEqual([getEventListeners(signal, 'abort').length, clock.pendingCount], [0, 0])
  })

  it('breaks when nothing is taken for a minute', async () => {
    const { channel, clock, stream } = started()
    channel.needsDrain = true
    const sending = assert.rejects(stream.send(new Uint8Array(1)), { code: 'stream-broken' })
    await clock.run(59_999)
    assert.deepEqual(channel.calls, [])
    await clock.run(60_000)
    await sending
    assert.deepEqual(channel.calls, ['abort: the peer takes no more messages'])
  })

  it('breaks when the channel takes nothing', async () => {
    const { channel, stream } = started()
    channel.sendError = new Error('closed below')
    await assert.rejects(stream.send(new Uint8Array(1)), { code: 'stream-broken', cause: channel.sendError })
  })

  it('stops the sender at 256 KiB that nobody receives, and lets it go on below half of that', async () => {
    const { channel, stream } = started()
    // Each message counts 128 bytes more than it has.
    for (let n = 0; n < 3; n++) channel.says(n, 64 * KIB - 128)
    channel.says(3, 64 * KIB - 128 - 1)
    assert.deepEqual(channel.calls, [])
    channel.says(4, 1)
    channel.says(5, 1)
    assert.deepEqual(channel.calls, ['pause'])
    await stream.receive()
    await stream.receive()
    assert.deepEqual(channel.calls, ['pause'], 'a little more than 128 KiB is left')
    await stream.receive()
    assert.deepEqual(channel.calls, ['pause', 'resume'])
    assert.deepEqual([(await stream.receive())[0], (await stream.receive())[0], (await stream.receive())[0]], [3, 4, 5])
    assert.deepEqual(channel.calls, ['pause', 'resume'])
  })

  it('stops a sender of empty messages that nobody receives', () => {
    const { channel } = started()
    for (let n = 0; n < 2047; n++) channel.says(0, 0)
    assert.deepEqual(channel.calls, [])
    channel.says(0, 0)
    assert.deepEqual(channel.calls, ['pause'])
  })

  it('does not resume a channel that is closed', async () => {
    const { channel, stream } = started()
    for (let n = 0; n < 4; n++) channel.says(n, 64 * KIB)
    channel.peer.ended()
    channel.peer.closed(undefined)
    for (let n = 0; n < 4; n++) assert.equal((await stream.receive())[0], n)
    assert.deepEqual(channel.calls, ['pause'])
  })

  it('breaks at a frame above the limit, and hears nothing more', async () => {
    const { channel, stream } = started(10)
    channel.says(1, 10)
    channel.says(2, 11)
    channel.says(3, 1)
    assert.deepEqual(channel.calls.length, 1)
    assert.match(channel.calls[0]!, /^abort: A message of 11 bytes exceeds the limit of 10/)
    await assert.rejects(stream.receive(), { code: 'message-too-long' })
    await assert.rejects(stream.send(new Uint8Array(1)), { code: 'message-too-long' })
  })

  it('gives what arrived before the peer ended, then says so', async () => {
    const { channel, stream } = started()
    channel.says(1)
    channel.peer.ended()
    channel.peer.closed(undefined)
    assert.equal((await stream.receive())[0], 1)
    await assert.rejects(stream.receive(), { code: 'stream-ended' })
    await assert.rejects(stream.send(new Uint8Array(1)), { code: 'stream-ended' })
  })

  it('takes a close without an end for a break', async () => {
    const { channel, stream } = started()
    channel.peer.closed(undefined)
    await assert.rejects(stream.receive(), { code: 'stream-broken' })
    await assert.rejects(stream.send(new Uint8Array(1)), { code: 'stream-broken' })
  })

  it('tells what broke it, also to who sends', async () => {
    const { channel, stream } = started()
    channel.needsDrain = true
    const cause = new Error('reset')
    const sending = assert.rejects(stream.send(new Uint8Array(1)), { code: 'stream-broken', cause })
    const receiving = assert.rejects(stream.receive(), { code: 'stream-broken', cause })
    channel.peer.closed(cause)
    channel.peer.closed(new Error('later'))
    await Promise.all([sending, receiving])
  })

  it('closes in good order: nothing is sent after, what arrives is thrown away, and must arrive', async () => {
    const { channel, clock, stream } = started()
    channel.says(1, 256 * KIB - 300)
    channel.says(2, 300)
    assert.deepEqual(channel.calls, ['pause'])
    const closing = stream.close()
    assert.deepEqual(channel.calls, ['pause', 'resume', 'closeWrite'])
    assert.equal(stream.close(), closing)
    await assert.rejects(stream.receive(), { code: 'stream-ended' })
    await assert.rejects(stream.send(new Uint8Array(1)), { code: 'stream-ended' })
    let isClosed = false
    void closing.then(() => { isClosed = true })
    await clock.run(1)
    assert.equal(isClosed, false)
    channel.closedWrite.resolve()
    await closing
    channel.peer.closed(undefined)
    await clock.run(60_000)
    assert.deepEqual(channel.calls, ['pause', 'resume', 'closeWrite'])
    assert.equal(clock.pendingCount, 0)
  })

  it('cuts off a peer that does not close its end in five seconds', async () => {
    const { channel, clock, stream } = started()
    const closing = stream.close()
    await clock.run(4_999)
    assert.deepEqual(channel.calls, ['closeWrite'])
    await clock.run(5_000)
    await closing
    assert.deepEqual(channel.calls, ['closeWrite', 'abort: the peer did not close its end of the stream'])
  })

  it('has nothing to close once it is closed', async () => {
    const { channel, stream } = started()
    channel.peer.closed(undefined)
    await stream.close()
    stream.abort(new Error('late'))
    assert.deepEqual(channel.calls, [])
  })
})
