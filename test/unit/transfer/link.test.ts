import assert from 'node:assert/strict'

import type { IncomingMessage, OutgoingMessage, Reason } from '../../../src/conversation/conversation.ts'
import { INCOMING_LANGUAGE, OUTGOING_LANGUAGE } from '../../../src/handoff/messages.ts'
import type { Lane } from '../../../src/mesh/index.ts'
import { createLanePair } from '../../../src/mesh/memory/memorylane.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { Link } from '../../../src/transfer/link.ts'
import { ID } from '../../support/bothends.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

interface Linked {
  clock: VirtualClock
  lanes: [Lane, Lane]
  outgoing: Link<OutgoingMessage, IncomingMessage>
  incoming: Link<IncomingMessage, OutgoingMessage>
  heard: (IncomingMessage | OutgoingMessage)[]
  lost: Reason[]
}

/** The two ends of a conversation's lane, and all that is heard of either. */
function linked(bytesPerSecondMax = Infinity, log = silentLog): Linked {
  const clock = new VirtualClock()
  const lanes = createLanePair({ clock })
  const heard: Linked['heard'] = []
  const lost: Reason[] = []
  const common = {
    onMessage: (message: IncomingMessage | OutgoingMessage) => heard.push(message),
    onLost: (reason: Reason) => lost.push(reason),
  }
  const outgoing = new Link<OutgoingMessage, IncomingMessage>({ clock, log, lane: lanes[0] }, {
    ...common, bytesPerSecondMax, language: OUTGOING_LANGUAGE,
  })
  const incoming = new Link<IncomingMessage, OutgoingMessage>({ clock, log: silentLog, lane: lanes[1] }, {
    ...common, bytesPerSecondMax: Infinity, language: INCOMING_LANGUAGE,
  })
  return { clock, lanes, outgoing, incoming, heard, lost }
}

describe('the conversation\'s link', () => {
  it('carries what either end says, in order, and counts it', async () => {
    const { outgoing, incoming, heard, lost } = linked()
    outgoing.say({ kind: 'hello', id: ID })
    outgoing.say({ kind: 'census', body: Buffer.from('abc') })
    await settle()
    incoming.say({ kind: 'bitmap', body: Buffer.from('d') })
    await settle()
    assert.deepEqual(heard, [
      { kind: 'hello', id: ID }, { kind: 'census', body: Buffer.from('abc') }, {
        kind: 'bitmap', body: Buffer.from('d'),
      },
    ])
    assert.deepEqual([outgoing.sentBytes, outgoing.receivedBytes], [incoming.receivedBytes, incoming.sentBytes])
    assert.equal(incoming.sentBytes, 6)
    assert.deepEqual(lost, [])
  })

  it('takes nothing from an end that is the other one\'s to say', async () => {
    for (const isOutgoing of [true, false]) {
      const { outgoing, incoming, heard, lost } = linked()
      if (isOutgoing) outgoing.say({ kind: 'whole' } as unknown as OutgoingMessage)
      else incoming.say({ kind: 'givenUp' } as unknown as IncomingMessage)
      await settle()
      assert.deepEqual(heard, [])
      assert.equal(lost.length, 2)
      assert.ok(lost.some(({ code, message }) => code === 'bad-frame' && /only the other end may send/.test(message)))
    }
  })

  it('is lost for the end that cannot read what the other said', async () => {
    const { outgoing, heard, lost } = linked()
    outgoing.say({ kind: 'switchover', runState: 'asleep' as 'running' })
    await settle()
    assert.deepEqual(heard, [])
    assert.deepEqual(lost.map(({ code }) => code).sort(), ['bad-frame', 'lane-lost'])
  })

  it('ends at what was read and cannot be, once', async () => {
    const { outgoing, incoming, lost } = linked()
    let taken = 0
    await incoming.heed(() => { taken += 1 })
    assert.deepEqual([taken, lost.length], [1, 0])
    await incoming.heed(() => {
      throw new PagemeshError('bad-frame', 'The bitmap has the wrong size.', { fault: 'peer' })
    })
    await incoming.heed(() => { throw new Error('again') })
    await settle()
    assert.equal(lost.length, 2)
    assert.deepEqual(lost[0], { code: 'bad-frame', message: 'The bitmap has the wrong size.', fault: 'peer' })
    outgoing.say({ kind: 'hello', id: ID })
    await settle()
    assert.equal(lost.length, 2)
  })

  it('is lost when the lane closes, and when the other end falls silent for five seconds', async () => {
    const closed = linked()
    closed.lanes[1].destroy()
    await settle()
    assert.deepEqual(closed.lost.map(({ code, fault }) => [code, fault]), Array(2).fill(['lane-lost', 'network']))
    const clock = new VirtualClock()
    const [near] = createLanePair({ clock })
    const lost: Reason[] = []
    void new Link<OutgoingMessage, IncomingMessage>({ clock, log: silentLog, lane: near }, {
      bytesPerSecondMax: Infinity, language: OUTGOING_LANGUAGE, onMessage: () => {},
      onLost: (reason) => lost.push(reason),
    })
    await clock.run(5000)
    assert.deepEqual(lost, [])
    await clock.run(7000)
    assert.equal(lost.length, 1)
  })

  it('lives as long as both ends do', async () => {
    const { clock, lost } = linked()
    await clock.run(60_000)
    assert.deepEqual(lost, [])
  })

  it('closes after what was said, and says nothing of that to its own end', async () => {
    const { outgoing, incoming, heard, lost } = linked()
    outgoing.say({ kind: 'kept', reason: 'cancelled' })
    assert.deepEqual([outgoing.isOver, incoming.isOver], [false, false])
    const closing = outgoing.close()
    assert.ok(outgoing.isOver)
    await closing
    await settle()
    assert.deepEqual(heard, [{ kind: 'kept', reason: 'cancelled' }])
    assert.equal(lost.length, 1)
    assert.ok(incoming.isOver)
    await outgoing.heed(() => { throw new Error('late') })
    assert.equal(lost.length, 1)
  })

  it('tells its own host\'s log what the other end said out of place, if it did', async () => {
    for (const fault of [undefined, { code: 'bad-frame', message: 'It said so twice.', fault: 'peer' } as const]) {
      const warnings: unknown[] = []
      const log: Log = { ...silentLog, warn: (message, fields) => { warnings.push([message, fields?.['reason']]) } }
      await linked(Infinity, log).outgoing.close(fault)
      assert.deepEqual(warnings, fault === undefined ? [] : [['the other agent broke the protocol', fault.message]])
    }
  })

  it('waits half a second for an end that takes nothing, and no longer', async () => {
    const clock = new VirtualClock()
    const [near] = createLanePair({ clock })
    const link = new Link<OutgoingMessage, IncomingMessage>({ clock, log: silentLog, lane: near }, {
      bytesPerSecondMax: Infinity, language: OUTGOING_LANGUAGE,
      onMessage: () => {}, onLost: () => {},
    })
    link.say({ kind: 'census', body: Buffer.alloc(10 * 2 ** 20) })
    let isClosed = false
    const closing = Promise.resolve(link.close()).then(() => { isClosed = true })
    await clock.run(499)
    assert.ok(!isClosed)
    await clock.run(500)
    await closing
    await near.closed
  })

  it('keeps to the rate that it may take', async () => {
    const { clock, outgoing, heard } = linked(100_000)
    outgoing.say({ kind: 'census', body: Buffer.alloc(1_000_000) })
    await clock.run(5000)
    assert.deepEqual(heard, [])
    await clock.run(20_000)
    assert.equal(heard.length, 1)
  })
})
