import assert from 'node:assert/strict'

import { MESSAGE_LENGTH_BYTES, StreamTraffic, type MessageStream } from '../../../../src/mesh/index.ts'
import { byteCounters } from '../../../../src/mesh/libp2p/gossipcounts.ts'
import { MemoryStream } from '../../../../src/mesh/memory/memorystream.ts'

const { signal } = new AbortController()

function countsOf({ sentBytes, receivedBytes }: StreamTraffic): { sentBytes: number; receivedBytes: number } {
  return { sentBytes, receivedBytes }
}

describe('what a kind of streams costs', () => {
  it('is each message with its length, once it is on its way or here', async () => {
    const [near, far] = MemoryStream.pair(() => {})
    const traffic = new StreamTraffic()
    assert.deepEqual(countsOf(traffic), { sentBytes: 0, receivedBytes: 0 })
    await traffic.send(near, new Uint8Array(10), signal)
    await far.send(new Uint8Array(20))
    assert.equal((await traffic.receive(near, signal)).length, 20)
    await traffic.send(near, new Uint8Array(0), signal)
    assert.equal(MESSAGE_LENGTH_BYTES, 4)
    assert.deepEqual(countsOf(traffic), { sentBytes: 10 + 4 + 4, receivedBytes: 20 + 4 })
  })

  it('is nothing for what could not be sent, or did not come', async () => {
    const [near] = MemoryStream.pair(() => {})
    const traffic = new StreamTraffic()
    const aborted = AbortSignal.abort(new Error('enough'))
    await assert.rejects(traffic.send(near, new Uint8Array(10), aborted), /enough/)
    await assert.rejects(traffic.receive(near, aborted), /enough/)
    assert.deepEqual(countsOf(traffic), { sentBytes: 0, receivedBytes: 0 })
    const waiting = Promise.withResolvers<void>()
    const slow = { send: () => waiting.promise } as unknown as MessageStream
    const sending = traffic.send(slow, new Uint8Array(10), signal)
    assert.equal(traffic.sentBytes, 0, 'it is counted when it was taken')
    waiting.resolve()
    await sending
    assert.equal(traffic.sentBytes, 14)
  })
})

describe('what gossip costs', () => {
  it('is what gossipsub counts of its bytes, and of its other figures nothing', () => {
    const counts = { sentBytes: 0, receivedBytes: 0 }
    const register = byteCounters(counts)
    const gauge = (name: string): { inc: (value: unknown) => void } => register.gauge({ name })
    gauge('gossipsub_rpc_sent_bytes_total').inc(5)
    gauge('gossipsub_rpc_sent_bytes_total').inc(2)
    gauge('gossipsub_rpc_recv_bytes_total').inc(11)
    gauge('gossipsub_rpc_sent_count_total').inc(1)
    assert.deepEqual(counts, { sentBytes: 7, receivedBytes: 11 })
    register.histogram().startTimer()()
  })
})
