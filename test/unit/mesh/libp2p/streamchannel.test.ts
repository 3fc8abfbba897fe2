import assert from 'node:assert/strict'

import { messageIds } from '../../../../src/mesh/libp2p/messageid.ts'
import { channelOf, type MuxedStream } from '../../../../src/mesh/libp2p/streamchannel.ts'

type Event = { data?: { subarray(): Uint8Array }; error?: Error }

/** A stream of a muxer that does as the test says, and keeps what it was asked for. */
class FakeStream implements MuxedStream {
  status = 'open'
  readStatus = 'readable'
  readableEnded = false
  writableNeedsDrain = false
  readonly calls: string[] = []
  readonly #listeners = new Map<string, (event: never) => void>()

  send(bytes: Uint8Array): boolean {
    this.calls.push(`send ${String(bytes)}`)
    return true
  }

  pause(): void {
    this.calls.push('pause')
    this.readStatus = 'paused'
  }

  resume(): void {
    this.calls.push('resume')
    this.readStatus = 'readable'
  }

  async close({ signal }: { signal: AbortSignal }): Promise<void> {
    this.calls.push(`close ${signal.aborted}`)
  }

  abort(reason: Error): void {
    this.calls.push(`abort ${reason.message}`)
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, listener)
  }

  says(type: string, event: Event = {}): void {
    this.#listeners.get(type)!(event as never)
  }
}

async function listened(change: Partial<FakeStream> = {}) {
  const stream = Object.assign(new FakeStream(), change)
  const events: string[] = []
  const channel = channelOf(stream)
  channel.listen({
    bytes: (bytes) => events.push(`bytes ${String(bytes)}`),
    drain: () => events.push('drain'),
    ended: () => events.push('ended'),
    closed: (error) => events.push(`closed ${error?.message}`),
  })
  assert.deepEqual(events, [], 'nothing at once')
  await Promise.resolve()
  return { stream, channel, events }
}

describe('a stream of libp2p as a channel', () => {
  it('passes on what it is told', async () => {
    const { stream, channel } = await listened()
    channel.send(Uint8Array.of(1, 2))
    channel.abort(new Error('no more'))
    await channel.closeWrite(new AbortController().signal)
    await channel.closeWrite(AbortSignal.abort())
    assert.deepEqual(stream.calls, ['send 1,2', 'abort no more', 'close false', 'close true'])
    assert.equal(channel.needsDrain, false)
    stream.writableNeedsDrain = true
    assert.equal(channel.needsDrain, true)
  })

  it('is paused and resumed only where the stream can be', async () => {
    const { stream, channel } = await listened()
    channel.resume()
    channel.pause()
    channel.pause()
    channel.resume()
    channel.resume()
    assert.deepEqual(stream.calls, ['pause', 'resume'])
    stream.readStatus = 'closed'
    channel.pause()
    channel.resume()
    assert.deepEqual(stream.calls, ['pause', 'resume'])
  })

  it('tells what comes, of the end and of the close', async () => {
    const { stream, events } = await listened()
    assert.deepEqual(events, [])
    stream.says('message', { data: Uint8Array.of(1, 2) })
    stream.says('drain')
    stream.says('end')
    stream.says('close')
    stream.says('close', { error: new Error('reset') })
    assert.deepEqual(events, ['bytes 1,2', 'drain', 'ended', 'closed undefined', 'closed reset'])
  })

  it('takes the end that comes with a reset for none', async () => {
    for (const status of ['reset', 'aborted']) {
      const { stream, events } = await listened()
      stream.status = status
      stream.says('end')
      stream.says('close', { error: new Error(status) })
      assert.deepEqual(events, [`closed ${status}`])
    }
  })

  it('tells what has passed already', async () => {
    const ended = await listened({ readableEnded: true })
    assert.deepEqual(ended.events, ['ended'])
    const closed = await listened({ readableEnded: true, status: 'closed' })
    assert.deepEqual(closed.events, ['ended', 'closed undefined'])
    const reset = await listened({ readableEnded: true, status: 'reset' })
    assert.deepEqual(reset.events, ['closed undefined'])
  })
})

describe('the id by which copies of gossip are told', () => {
  it('is one for each signature and content, whatever came before', () => {
    const idOf = messageIds()
    const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)]
    const messages = [
      { signature: one, data: two }, { signature: two, data: two }, { signature: one, data: one }, { signature: one },
      { signature: one, data: Uint8Array.of(2, 2) }, { data: Uint8Array.of(9) }, {},
    ]
    const ids = messages.map(idOf)
    assert.equal(new Set(ids).size, messages.length)
    assert.deepEqual(messages.map(idOf), ids)
    assert.equal(idOf({ signature: one, data: new Uint8Array(0) }), idOf({ signature: one }))
    assert.equal(messageIds()(messages[0]!), ids[0])
  })
})
