import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Duplex } from 'node:stream'

import { DuplexLane } from '../../../../src/mesh/lanes/duplexlane.ts'
import { VirtualClock } from '../../../support/time.ts'

const MIB = 1024 * 1024

/** A connection whose other side takes a piece when the test says so. */
class HeldDuplex extends Duplex {
  /** Pieces that were handed down, as they were written. */
  readonly written: Buffer[] = []
  readonly #taken: (() => void)[] = []
  isEnding = false

  constructor() {
    super({ allowHalfOpen: true })
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.written.push(bytes)
    this.#taken.push(done)
  }

  override _writev(pieces: { chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(pieces.map(({ chunk }) => chunk)), '', done)
  }

  override _read(): void {}

  override _final(done: () => void): void {
    this.isEnding = true
    done()
  }

  /** The other side takes the next piece. */
  takeNext(): void {
    this.#taken.shift()?.()
  }
}

function started() {
  const clock = new VirtualClock()
  const duplex = new HeldDuplex()
  const counts = { sent: 0, received: 0 }
  const calls: string[] = []
  const lane = new DuplexLane({ clock }, {
    duplex,
    deliver: (receiver) => {
      calls.push('deliver')
      duplex.on('data', receiver)
    },
    pause: () => calls.push('pause'),
    resume: () => {
      calls.push('resume')
      duplex.resume()
    },
    sentBytes: () => counts.sent,
    receivedBytes: () => counts.received,
  })
  return { clock, duplex, counts, calls, lane }
}

describe('a lane over a connection', () => {
  it('has room for less than 4 MiB that are not taken, and wakes who waits for room', async () => {
    const { clock, duplex, lane } = started()
    assert.equal(lane.write(Buffer.alloc(4 * MIB - 1)), true)
    await lane.drained()
    assert.equal(lane.write(Buffer.alloc(1)), false)
    assert.equal(lane.write(Buffer.alloc(4 * MIB)), false)
    let drained = 0
    for (let n = 0; n < 2; n++) void lane.drained().then(() => { drained += 1 })
    duplex.takeNext()
    await clock.run(1)
    assert.equal(drained, 0, '4 MiB and a byte are left')
    duplex.takeNext()
    await clock.run(2)
    assert.equal(drained, 2)
  })

  it('does not wait for room with the queue held back', async () => {
    const { duplex, lane } = started()
    lane.cork()
    lane.cork()
    lane.write(Buffer.alloc(5 * MIB))
    assert.equal(duplex.written.length, 0)
    const waiting = lane.drained()
    assert.equal(duplex.written.length, 1)
    duplex.takeNext()
    await waiting
    lane.cork()
    lane.write(Buffer.from('a'))
    lane.write(Buffer.from('b'))
    assert.equal(duplex.written.length, 1)
    lane.uncork()
    await new Promise(setImmediate)
    assert.equal(String(duplex.written.at(-1)), 'ab', 'corked pieces go together')
  })

  it('ends a wait for room with its signal, and leaves nothing there', async () => {
    const { duplex, lane } = started()
    lane.write(Buffer.alloc(4 * MIB))
    const abort = new AbortController()
    const waiting = lane.drained(abort.signal)
    assert.equal(getEventListeners(abort.signal, 'abort').length, 1)
    abort.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    await assert.rejects(lane.drained(abort.signal), /enough/)
    const other = new AbortController()
    const served = lane.drained(other.signal)
    duplex.takeNext()
    await served
    assert.equal(getEventListeners(other.signal, 'abort').length, 0)
  })

  it('serves those who still wait when one of them has given up', async () => {
    const { duplex, lane } = started()
    lane.write(Buffer.alloc(4 * MIB))
    const abort = new AbortController()
    const waiting = [lane.drained(), lane.drained(abort.signal), lane.drained()]
    abort.abort(new Error('enough'))
    await assert.rejects(waiting[1]!, /enough/)
    duplex.takeNext()
    await Promise.all([waiting[0], waiting[2]])
  })

  it('says what broke it first', async () => {
    const { duplex, lane } = started()
    const first = new Error('first')
    duplex.emit('error', first)
    duplex.destroy(new Error('second'))
    assert.equal(await lane.closed, first)
  })

  it('fails those who wait when it closes, with what closed it, and takes nothing more', async () => {
    const { duplex, lane } = started()
    lane.write(Buffer.alloc(4 * MIB))
    const cause = new Error('reset')
    const { signal } = new AbortController()
    const waiting = assert.rejects(lane.drained(signal), { code: 'lane-closed', fault: 'network', cause })
    duplex.destroy(cause)
    assert.equal(lane.write(Buffer.alloc(1)), false)
    await waiting
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    assert.equal(await lane.closed, cause)
    await assert.rejects(lane.drained(), { code: 'lane-closed', cause })
    await lane.end()
  })

  it('closes without an error when it is destroyed', async () => {
    const { lane } = started()
    lane.destroy()
    assert.equal(await lane.closed, undefined)
  })

  it('has one receiver, can be paused, and counts what the connection counts', () => {
    const { counts, calls, lane, duplex } = started()
    const received: string[] = []
    lane.receive((bytes) => received.push(String(bytes)))
    assert.throws(() => lane.receive(() => {}), /one receiver/)
    lane.pause()
    lane.resume()
    assert.deepEqual(calls, ['deliver', 'pause', 'resume'])
    duplex.emit('data', Buffer.from('x'))
    assert.deepEqual(received, ['x'])
    Object.assign(counts, { sent: 5, received: 7 })
    assert.deepEqual([lane.sentBytes, lane.receivedBytes], [5, 7])
  })

  it('ends once all was taken and the other side has ended, whoever receives', async () => {
    const { clock, duplex, calls, lane } = started()
    lane.write(Buffer.from('last'))
    const ending = lane.end()
    assert.deepEqual(calls, ['deliver', 'resume'])
    assert.equal(lane.write(Buffer.from('late')), false)
    await assert.rejects(lane.drained(), { code: 'lane-closed' })
    await clock.run(1)
    assert.equal(duplex.isEnding, false)
    duplex.takeNext()
    await clock.run(2)
    assert.equal(duplex.isEnding, true)
    duplex.push(null)
    await ending
    assert.equal(clock.pendingCount, 0)
    await lane.end()
  })

  it('gives up on an end in which nothing moves for 30 seconds, and waits as long as something does', async () => {
    const { clock, counts, lane } = started()
    lane.receive(() => {})
    lane.write(Buffer.from('last'))
    const ending = assert.rejects(lane.end(), { code: 'lane-stalled', fault: 'network', phase: 'ending a lane' })
    for (const at of [20_000, 50_000, 80_000]) {
      await clock.run(at)
      counts.received += 1
    }
    await clock.run(119_999)
    let isOver = false
    void ending.then(() => { isOver = true })
    await clock.run(119_999)
    assert.equal(isOver, false)
    await clock.run(120_000)
    await ending
    assert.equal(clock.pendingCount, 0)
  })

  it('gives up after 30 seconds also when much had moved before', async () => {
    const { clock, counts, lane } = started()
    counts.received = 7
    lane.write(Buffer.from('last'))
    const ending = assert.rejects(lane.end(), { code: 'lane-stalled' })
    await clock.run(30_000)
    await ending
  })

  it('says what broke it while it ended', async () => {
    const { duplex, lane } = started()
    const ending = lane.end()
    const cause = new Error('reset')
    duplex.destroy(cause)
    await assert.rejects(ending, cause)
  })
})
