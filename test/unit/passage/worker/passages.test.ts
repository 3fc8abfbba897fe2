/** Passages over real sockets, at each end in a worker thread or in the agent's own: they do the same. */
import assert from 'node:assert/strict'

import { kernelInUse, PAGE_BYTES } from '../../../../src/page/index.ts'
import { page, prefixesOf, sourceWith } from '../../../support/madepages.ts'
import { until } from '../../../support/passagerelay.ts'
import { knownPublic, publicHasher, publicSourceWith } from '../../../support/publicpages.ts'
import { postcopyStream, precopyStream, RUN_STATE } from '../../../support/streambuilder.ts'
import { skipWithoutKernel, ThreadPlace } from './threadrelay.ts'

const SHUT = Buffer.from('0001000400000000', 'hex')

function streamOf(numbers: readonly number[]): Buffer {
  return Buffer.from(precopyStream([{ name: 'pc.ram', pages: [...numbers.map(page), undefined] }]).bytes)
}

function numbers(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i)
}

for (const counts of [{ outgoing: 1, incoming: 1 }, { outgoing: 1, incoming: 0 }, { outgoing: 0, incoming: 1 }]) {
  describe(`passages in ${counts.outgoing} and ${counts.incoming} worker threads`, () => {
    let place: ThreadPlace

    before(async function () {
      skipWithoutKernel.call(this)
      place = await new ThreadPlace(counts).start()
    })

    after(async () => {
      if (kernelInUse() !== 'package') await place.stop()
    })

    afterEach(async () => {
      await place.isQuiet()
      assert.deepEqual(place.strangers, [])
      const { outgoing, incoming } = counts
      assert.deepEqual(place.taken, { outgoing: outgoing * place.relays, incoming: incoming * place.relays })
    })

    it('give the destination what the source wrote, and the source what came back, and end', async () => {
      const held = numbers(100).map(page)
      const { outgoing, incoming } = await place.relay({
        init: { known: prefixesOf(held) }, sources: [sourceWith(held)],
      })
      const stream = streamOf([...numbers(300), ...numbers(50, 150)])
      outgoing.qemu.write(stream)
      outgoing.qemu.endpoint.end()
      await until(() => incoming.qemu.hasHeardEnd)
      assert.ok(incoming.qemu.received.equals(stream))
      incoming.qemu.write(SHUT)
      incoming.qemu.endpoint.end()
      await until(() => outgoing.said.words.includes('ended') && incoming.said.words.includes('ended'))
      await until(() => outgoing.qemu.isClosed && incoming.qemu.isClosed)
      await Promise.all([outgoing.endpoint.closed, incoming.endpoint.closed])
      assert.ok(outgoing.qemu.received.equals(SHUT))
      assert.deepEqual(outgoing.said.words, ['ramStart', 'ramEnd', `runState ${RUN_STATE}`, 'ended'])
      assert.deepEqual(incoming.said.words, ['ended'])
      const { streamBytes, ref, literal, sentBefore, zero, sentBytes, receivedBytes, literalWireBytes } =
        outgoing.passage.counts()
      assert.deepEqual({ streamBytes, ref, literal, sentBefore, zero }, {
        streamBytes: stream.length, ref: 100, literal: 200, sentBefore: 50, zero: 1,
      })
      assert.ok(literalWireBytes > 0 && literalWireBytes < 200 * PAGE_BYTES)
      const came = incoming.passage.counts()
      assert.equal(came.streamBytes, stream.length)
      assert.deepEqual(came.refsFilledBy, { sentBefore: 50, resident: 100, store: 0, peer: 0, source: 0 })
      assert.ok(Math.abs(came.sentBytes - receivedBytes) < 200 && Math.abs(came.receivedBytes - sentBytes) < 200)
      assert.ok(sentBytes > literalWireBytes)
      // Once it has ended nothing is left to stop.
      outgoing.passage.stop()
      incoming.passage.stop()
    })

    it('refer to public pages, and verify them', async () => {
      const held = numbers(30).map(page)
      const { outgoing, incoming } = await place.relay({ sources: [publicSourceWith(held)], publicHasher })
      outgoing.passage.setPublic(await knownPublic(held))
      const stream = streamOf(numbers(40))
      outgoing.qemu.write(stream)
      outgoing.qemu.endpoint.end()
      await until(() => incoming.qemu.hasHeardEnd)
      assert.ok(incoming.qemu.received.equals(stream))
      assert.deepEqual([outgoing.passage.counts().ref, incoming.passage.counts().refsFilledBy.resident], [30, 30])
      outgoing.passage.stop()
      incoming.passage.stop()
    })

    // That either end does the rest is proved where both are in threads, and in passage.test.ts where none is.
    if (counts.outgoing !== counts.incoming) return

    it('hold the source back while the destination takes nothing, and lose nothing by it', async () => {
      const { outgoing, incoming } = await place.relay({ isReading: false })
      const stream = streamOf(numbers(6000))
      outgoing.qemu.write(stream)
      outgoing.qemu.endpoint.end()
      await until(() => outgoing.passage.counts().streamBytes > 8 * 2 ** 20 - 2 ** 18)
      const taken = outgoing.passage.counts().streamBytes
      assert.ok(taken < 10 * 2 ** 20, `${taken} bytes were taken`)
      incoming.qemu.read()
      await until(() => incoming.qemu.hasHeardEnd)
      assert.ok(incoming.qemu.received.equals(stream))
      outgoing.passage.stop()
      incoming.passage.stop()
    })

    it('take pages that arrived meanwhile as known', async () => {
      const held = numbers(40).map(page)
      const { outgoing, incoming } = await place.relay({ sources: [sourceWith(held, 'peer')] })
      const stream = streamOf(numbers(40))
      let sent = 0
      const sendTo = async (end: number): Promise<void> => {
        outgoing.qemu.write(stream.subarray(sent, end))
        sent = end
        await until(() => incoming.qemu.received.length === end)
      }
      const before = (number: number): number => stream.indexOf(page(number)) - 8
      await sendTo(before(5))
      outgoing.passage.addKnown(prefixesOf(held))
      // Another thread hears of it some pages later.
      let literals = 5
      while (outgoing.passage.counts().ref === 0) await sendTo(before(++literals))
      await sendTo(stream.length)
      assert.ok(incoming.qemu.received.equals(stream))
      const { ref, literal } = outgoing.passage.counts()
      assert.ok(ref + literal === 40 && literal >= 5 && literal <= literals, `${ref} and ${literal}`)
      assert.equal(incoming.passage.counts().refsFilledBy.peer, ref)
      outgoing.passage.stop()
      incoming.passage.stop()
    })

    it('ask each source in turn, and for exactly the refs that nobody has, or has only wrongly', async () => {
      const held = numbers(12).map(page)
      const spoil = (bytes: Buffer): Buffer => Buffer.concat([bytes.subarray(0, -1), Buffer.from('x')])
      const failing = { kind: 'resident' as const, fill: () => Promise.reject(new Error('broken')) }
      const wrong = sourceWith(held.slice(0, 4), 'store', spoil)
      const right = sourceWith(held.slice(2), 'peer')
      const { outgoing, incoming } = await place.relay({
        init: { known: prefixesOf(held) }, sources: [failing, wrong, right],
      })
      const stream = streamOf(numbers(12))
      outgoing.qemu.write(stream)
      outgoing.qemu.endpoint.end()
      await until(() => incoming.qemu.hasHeardEnd)
      assert.ok(incoming.qemu.received.equals(stream))
      assert.deepEqual(incoming.passage.counts().refsFilledBy, {
        sentBefore: 0, resident: 0, store: 0, peer: 10, source: 2,
      })
      outgoing.passage.stop()
      incoming.passage.stop()
    })

    it('go on with a post-copy on a new connection, with what the first one told', async () => {
      const memory = [{ name: 'pc.ram', pages: numbers(4).map(page) }]
      const first = await place.relay()
      first.outgoing.qemu.write(postcopyStream(memory, memory).bytes)
      await until(() => first.outgoing.said.words.includes('eof'))
      const continuation = first.outgoing.passage.knowledge()!
      first.outgoing.passage.stop()
      first.incoming.passage.stop()
      await Promise.all([first.outgoing.endpoint.closed, first.incoming.endpoint.closed])
      const { outgoing, incoming } = await place.relay({ init: { continuation } })
      const recovered = Buffer.concat([
        Buffer.from('080009' + '0000' + '0200000002' + '0000000000001008' + '0670632e72616d', 'hex'), page(7),
        Buffer.from('0000000000000010' + '7e00000002', 'hex'),
      ])
      outgoing.qemu.write(recovered)
      await until(() => incoming.qemu.received.length === recovered.length)
      assert.ok(incoming.qemu.received.equals(recovered))
      assert.deepEqual(outgoing.said.words, ['resume', 'handedOver'])
      // A passage that goes on tells of a batch once it was acknowledged.
      await until(() => outgoing.passage.counts().literal === 1)
      outgoing.passage.stop()
      incoming.passage.stop()
    })

    it('break the other end too when they are stopped, and say nothing themselves', async () => {
      for (const stopped of ['outgoing', 'incoming'] as const) {
        const both = await place.relay()
        both[stopped].passage.stop()
        both[stopped].passage.stop()
        const other = both[stopped === 'outgoing' ? 'incoming' : 'outgoing']
        await until(() => other.said.errors.length > 0)
        const [{ code, fault, phase, advice }] = other.said.errors as [typeof other.said.errors[0]]
        assert.deepEqual([code, fault, phase], ['lane-lost', 'network', 'handoff'])
        assert.match(advice!, /lane address can be reached/)
        await until(() => both.outgoing.qemu.isClosed || both.outgoing.qemu.hasHeardEnd)
        await until(() => both.incoming.qemu.isClosed || both.incoming.qemu.hasHeardEnd)
        assert.deepEqual(both[stopped].said.words, [])
        // The next one is to have the same threads.
        await place.isQuiet()
      }
    })

    it('fail when whoever gave their QEMU\'s connection away closes it', async () => {
      const { outgoing, incoming } = await place.relay()
      outgoing.endpoint.destroy()
      await until(() => outgoing.said.errors.length > 0 && incoming.said.errors.length > 0)
      assert.equal(outgoing.said.errors[0]!.code, 'qemu-connection-lost')
      assert.equal(incoming.said.errors[0]!.code, 'lane-lost')
      await until(() => outgoing.qemu.hasHeardEnd && incoming.qemu.hasHeardEnd)
    })
  })
}
