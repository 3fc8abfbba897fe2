import { strict as assert } from 'node:assert'

import { untilBegun } from '../../../src/guest/begunendpoint.ts'
import type { Endpoint } from '../../../src/net/endpoint.ts'

/** An endpoint whose other side is the test, which may go on although it was paused, as a socket does for a moment. */
class HandEndpoint implements Endpoint {
  readonly calls: string[] = []
  readonly closed = new Promise<Error | undefined>(() => {})
  onBytes!: (bytes: Buffer) => void
  onEnd!: () => void

  receive(onBytes: (bytes: Buffer) => void, onEnd: () => void): void {
    this.onBytes = onBytes
    this.onEnd = onEnd
  }

  pause(): void { this.calls.push('pause') }
  resume(): void { this.calls.push('resume') }
  async write(bytes: Uint8Array): Promise<void> { this.calls.push(`write ${Buffer.from(bytes).toString()}`) }
  end(): void { this.calls.push('end') }
  destroy(): void { this.calls.push('destroy') }
}

describe('a connection that has begun', () => {
  it('hands over all that came before anybody listened, in one piece, and then its end', async () => {
    const hand = new HandEndpoint()
    const beginning = untilBegun(hand)
    const buffer = Buffer.from('ab')
    hand.onBytes(buffer)
    buffer.fill('x')
    hand.onBytes(Buffer.from('cd'))
    hand.onEnd()
    const begun = await beginning
    assert.deepEqual(hand.calls, ['pause', 'pause'])
    const heard: string[] = []
    begun.receive((bytes) => heard.push(bytes.toString()), () => heard.push('end'))
    assert.deepEqual(heard, ['abcd', 'end'])
    assert.deepEqual(hand.calls.slice(2), ['resume'])
  })

  it('hands over what comes later as it comes', async () => {
    const hand = new HandEndpoint()
    const beginning = untilBegun(hand)
    hand.onBytes(Buffer.from('a'))
    const begun = await beginning
    const heard: string[] = []
    begun.receive((bytes) => heard.push(bytes.toString()), () => heard.push('end'))
    hand.onBytes(Buffer.from('b'))
    hand.onBytes(Buffer.from('c'))
    hand.onEnd()
    assert.deepEqual(heard, ['a', 'b', 'c', 'end'])
    assert.deepEqual(hand.calls, ['pause', 'resume'], 'nothing holds it back any more')
  })

  it('is otherwise the connection itself', async () => {
    const hand = new HandEndpoint()
    const beginning = untilBegun(hand)
    hand.onBytes(Buffer.from('a'))
    const begun = await beginning
    hand.calls.length = 0
    begun.pause()
    begun.resume()
    await begun.write(Buffer.from('x'))
    begun.end()
    begun.destroy()
    assert.deepEqual(hand.calls, ['pause', 'resume', 'write x', 'end', 'destroy'])
    assert.equal(begun.closed, hand.closed)
  })

  it('is none where it ends before its first byte', async () => {
    const hand = new HandEndpoint()
    const beginning = untilBegun(hand)
    hand.onEnd()
    await assert.rejects(beginning, { code: 'qemu-failed', fault: 'guest', phase: 'starting' })
  })

  it('is handed over with what came before', async () => {
    const early = new Uint8Array(0)
    const hand = Object.assign(new HandEndpoint(), { handOver: () => ({ fd: 7, early }) })
    const beginning = untilBegun(hand)
    hand.onBytes(Buffer.from('ab'))
    hand.onBytes(Buffer.from('cd'))
    const begun = await beginning
    const handed = begun.handOver!({ destroy: () => {}, closed: hand.closed })
    assert.equal(handed?.fd, 7)
    assert.equal(Buffer.from(handed.early).toString(), 'abcd')
  })

  it('stays where it is if it cannot be handed over', async () => {
    const hand = new HandEndpoint()
    const beginning = untilBegun(hand)
    hand.onBytes(Buffer.from('ab'))
    const begun = await beginning
    assert.equal(begun.handOver!({ destroy: () => {}, closed: hand.closed }), undefined)
    const heard: string[] = []
    begun.receive((bytes) => heard.push(bytes.toString()), () => {})
    assert.deepEqual(heard, ['ab'])
  })
})
