import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { openPassageLane, PassageThreads, threadCount } from '../../../../src/passage/index.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { hasher, NOTHING, page } from '../../../support/madepages.ts'
import { listenerOf, until } from '../../../support/passagerelay.ts'
import { precopyStream } from '../../../support/streambuilder.ts'
import { skipWithoutKernel, ThreadPlace } from './threadrelay.ts'

const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [1, 2, 3].map(page) }]).bytes)
/** Descriptors are closed a moment later than their sockets say. */
const CLOSE_MS_MAX = 5000

/** A worker's module of this text. */
function moduleOf(text: string): URL {
  return new URL(`data:text/javascript,import { parentPort } from 'node:worker_threads';${encodeURIComponent(text)}`)
}

/** A worker that does as the real one, but for one kind of message. */
function realUntil(kind: string, then: string): URL {
  const real = new URL('../../../../src/passage/worker/worker.ts', import.meta.url).href
  return moduleOf(`
    parentPort.on('message', (message) => { if (message.kind === '${kind}') { ${then} } })
    await import('${real}')`)
}

const DIES_AT_ONCE = moduleOf('process.exit(3)')
/** Says how often it was asked. */
const ECHOES = moduleOf(`
  let times = 0
  parentPort.on('message', () => parentPort.postMessage({ kind: 'over', times: ++times }))`)

async function closesAll(work: () => Promise<void>): Promise<void> {
  const count = (): number => readdirSync('/proc/self/fd').length
  const before = count()
  await work()
  const endsAt = performance.now() + CLOSE_MS_MAX
  while (count() > before && performance.now() < endsAt) await sleep(10)
  assert.ok(count() <= before, `${count()} descriptors are open, ${before} were`)
}

describe('how many threads carry passages', () => {
  it('follows from the cores where nobody says, and is none without a kernel', () => {
    for (const [cores, count] of [[1, 0], [2, 0], [7, 0], [8, 7], [16, 15]] as const) {
      assert.equal(threadCount('auto', { cores, hasKernel: true }), count)
      assert.equal(threadCount('auto', { cores, hasKernel: false }), 0)
    }
    assert.equal(threadCount(5, { cores: 2, hasKernel: true }), 5)
    assert.equal(threadCount(0, { cores: 64, hasKernel: true }), 0)
    assert.equal(threadCount(5, { cores: 64, hasKernel: false }), 0)
  })
})

describe('the threads of passages', () => {
  it('are as many as they may be, each with one passage, and used again', async () => {
    const threads = new PassageThreads({ log: silentLog }, { count: 2 })
    const listener = { hear: () => {}, died: () => {} }
    try {
      const [first, second] = [threads.take({ ...listener }), threads.take({ ...listener })]
      assert.ok(first !== undefined && second !== undefined)
      assert.equal(threads.take(listener), undefined)
      first.free()
      assert.notEqual(threads.take(listener), undefined)
      assert.equal(threads.take(listener), undefined)
      // Its thread is another passage's by now.
      first.free()
      assert.equal(threads.take(listener), undefined)
    } finally {
      await threads.stop()
    }
    assert.equal(threads.take(listener), undefined, 'stopped')
  })

  it('are warmed up before they are needed, and free then', async () => {
    for (const [count, workerUrl] of [[0, undefined], [1, undefined], [1, DIES_AT_ONCE]] as const) {
      const threads = new PassageThreads({ log: silentLog }, {
        count, ...(workerUrl === undefined ? {} : { workerUrl }),
      })
      const listener = { hear: () => {}, died: () => {} }
      try {
        const warming = threads.warmUp()
        assert.equal(threads.take(listener), undefined)
        await warming
        assert.equal(threads.take(listener) === undefined, count === 0)
      } finally {
        await threads.stop()
      }
    }
  })

  it('are all warmed up that a handoff of four channels needs, each once', async () => {
    const posted: unknown[] = []
    const count = 7
    const threads = new PassageThreads({ log: silentLog }, { count, workerUrl: ECHOES })
    const listener = { hear: (message: unknown) => { posted.push(message) }, died: () => {} }
    try {
      await threads.warmUp()
      const taken = Array.from({ length: count }, () => threads.take(listener)!)
      for (const thread of taken) thread.post({ kind: 'warmUp' })
      await until(() => posted.length === count)
      // Each says how often it was warmed up.
      const times = posted.map((message) => (message as { times: number }).times)
      assert.deepEqual(times.sort((a, b) => a - b), [1, 1, 2, 2, 2, 2, 2])
    } finally {
      await threads.stop()
    }
  })

  it('leave a passage to the agent\'s thread where all are taken', async function () {
    skipWithoutKernel.call(this)
    const place = await new ThreadPlace({ outgoing: 1, incoming: 1 }).start()
    try {
      const both = [await place.relay(), await place.relay()]
      assert.deepEqual(place.taken, { outgoing: 1, incoming: 1 })
      for (const { outgoing, incoming } of both) {
        outgoing.qemu.write(STREAM)
        await until(() => incoming.qemu.received.equals(STREAM))
        outgoing.passage.stop()
        incoming.passage.stop()
      }
      await place.isQuiet()
    } finally {
      await place.stop()
    }
  })
})

describe('a thread that dies', () => {
  before(skipWithoutKernel)

  it('before it opens anything closes what it was given, and the passage begins not', async () => {
    const place = await new ThreadPlace({ outgoing: 1, incoming: 0 }, DIES_AT_ONCE).start()
    try {
      await closesAll(async () => {
        const { offered, dialed } = await place.lanes()
        const other = assert.rejects(dialed.secure(place.signal), { code: 'lane-unreachable' })
        const components = { clock: systemClock, threads: place.threads.outgoing }
        await assert.rejects(openPassageLane(components, offered, place.signal), {
          code: 'passage-thread-ended', fault: 'host', phase: 'handoff',
        })
        await other
      })
      // The agent is as before, and the next passage gets another thread.
      assert.notEqual(place.threads.outgoing.take({ hear: () => {}, died: () => {} }), undefined)
    } finally {
      await place.stop()
    }
  })

  it('by an error fails its passage, and closes QEMU\'s connection and the lane', async () => {
    const workerUrl = realUntil('outgoing', 'throw new Error("broken")')
    const place = await new ThreadPlace({ outgoing: 1, incoming: 0 }, workerUrl).start()
    try {
      await closesAll(async () => {
        const { outgoing, incoming } = await place.relay()
        await until(() => outgoing.said.errors.length > 0 && incoming.said.errors.length > 0)
        assert.deepEqual(outgoing.said.words, ['failed passage-thread-ended'])
        assert.deepEqual(incoming.said.words, ['failed lane-lost'])
        await until(() => outgoing.qemu.hasHeardEnd && incoming.qemu.hasHeardEnd)
        assert.equal(await outgoing.endpoint.closed, undefined)
        // What comes afterwards is for nobody.
        outgoing.passage.stop()
        outgoing.endpoint.destroy()
        for (const { qemu } of [outgoing, incoming]) qemu.endpoint.destroy()
      })
    } finally {
      await place.stop()
    }
  })

  it('in the midst of a stream fails its passage, and closes both', async () => {
    const place = await new ThreadPlace({ outgoing: 1, incoming: 0 }, realUntil('destroy', 'process.exit(1)')).start()
    try {
      await closesAll(async () => {
        const { outgoing, incoming } = await place.relay()
        outgoing.qemu.write(STREAM)
        await until(() => incoming.qemu.received.equals(STREAM))
        await until(() => outgoing.said.words.includes('ramEnd'))
        const knowledge = outgoing.passage.knowledge()
        assert.deepEqual(knowledge?.blocks.map(({ name }) => name), ['pc.ram'])
        outgoing.endpoint.destroy()
        await until(() => outgoing.said.errors.length > 0 && incoming.said.errors.length > 0)
        assert.equal(outgoing.said.errors[0]!.code, 'passage-thread-ended')
        await until(() => outgoing.qemu.hasHeardEnd && incoming.qemu.hasHeardEnd)
        assert.deepEqual(outgoing.passage.knowledge(), knowledge)
        assert.equal(outgoing.passage.counts().streamBytes, STREAM.length)
        for (const { qemu } of [outgoing, incoming]) qemu.endpoint.destroy()
      })
    } finally {
      await place.stop()
    }
  })

  it('because it hangs is ended, and closes both', async function () {
    const place = await new ThreadPlace({ outgoing: 1, incoming: 0 }, realUntil('stop', 'for (;;);')).start()
    try {
      const { outgoing, incoming } = await place.relay()
      outgoing.qemu.write(STREAM)
      await until(() => incoming.qemu.received.equals(STREAM))
      outgoing.passage.stop()
      await outgoing.endpoint.closed
      await until(() => outgoing.qemu.hasHeardEnd && incoming.said.errors.length > 0)
      assert.ok(!outgoing.said.words.some((word) => word.startsWith('failed')), 'it was stopped')
    } finally {
      await place.stop()
    }
  })

  it('with the agent, which stops, takes its connections with it', async () => {
    const place = await new ThreadPlace({ outgoing: 1, incoming: 1 }).start()
    const { outgoing, incoming } = await place.relay()
    outgoing.qemu.write(STREAM)
    await until(() => incoming.qemu.received.equals(STREAM))
    await Promise.all([place.threads.outgoing.stop(), place.threads.incoming.stop()])
    await until(() => outgoing.qemu.hasHeardEnd && incoming.qemu.hasHeardEnd)
    await place.stop()
    await place.isQuiet()
  })
})

describe('a lane in a thread that is lost before its passage begins', () => {
  before(skipWithoutKernel)

  for (const [when, isSeen] of [['and nobody has seen it yet', false], ['and that was seen', true]] as const) {
    it(`fails the passage, and closes QEMU's connection, ${when}`, async () => {
      const place = await new ThreadPlace({ outgoing: 1, incoming: 0 }).start()
      try {
        await closesAll(async () => {
          const lanes = await place.lanes()
          const { qemu, endpoint } = await place.qemu()
          const components = { clock: systemClock, threads: place.threads.outgoing }
          const [offered, dialed] = await Promise.all([
            openPassageLane(components, lanes.offered, place.signal), lanes.dialed.secure(place.signal),
          ])
          dialed.destroy()
          await dialed.closed
          const words: string[] = []
          const isFree = (): boolean => {
            const thread = place.threads.outgoing.take({ hear: () => {}, died: () => {} })
            thread?.free()
            return thread !== undefined
          }
          if (isSeen) await until(isFree)
          offered.startOutgoing({ hasher, qemu: endpoint }, {
            known: NOTHING, compression: 'always', bytesPerSecondMax: Infinity,
            listener: listenerOf({ words, errors: [] }),
          })
          assert.deepEqual(words, [], 'not before it has begun')
          await until(() => qemu.hasHeardEnd && words.length > 0)
          assert.deepEqual(words, ['failed lane-lost'])
          await endpoint.closed
          await until(isFree)
          qemu.endpoint.destroy()
          await place.threads.outgoing.stop()
        })
      } finally {
        await place.stop()
      }
    })
  }
})

describe('TLS in a thread', () => {
  before(skipWithoutKernel)

  it('fails with another key, says so at both ends, and the thread is free', async () => {
    const place = await new ThreadPlace({ outgoing: 1, incoming: 0 }).start()
    try {
      const { ticket, lane } = place.server.offer(place.signal)
      const { dialLaneSocket } = await import('../../../../src/mesh/lanes/lanedial.ts')
      const wrong = { ...ticket, key: '00'.repeat(32) }
      const dialed = await dialLaneSocket({ clock: systemClock }, ticket.address, wrong, place.signal)
      const components = { clock: systemClock, threads: place.threads.outgoing }
      await Promise.all([
        assert.rejects(openPassageLane(components, await lane, place.signal), {
          code: 'lane-unreachable', data: { address: '127.0.0.1' },
        }),
        assert.rejects(dialed.secure(place.signal), { code: 'lane-unreachable' }),
      ])
      await until(() => place.strangers.length === 1)
      assert.match(place.strangers[0]!, /^127\.0\.0\.1: /)
      await until(() => place.threads.outgoing.take({ hear: () => {}, died: () => {} }) !== undefined)
    } finally {
      await place.stop()
    }
  })

  it('is given up with its signal, and the connection with it', async () => {
    const place = await new ThreadPlace({ outgoing: 1, incoming: 1 }).start()
    try {
      await closesAll(async () => {
        for (const end of ['offered', 'dialed'] as const) {
          const lanes = await place.lanes()
          const abort = new AbortController()
          const components = {
            clock: systemClock, threads: place.threads[end === 'offered' ? 'outgoing' : 'incoming'],
          }
          const opening = openPassageLane(components, lanes[end], abort.signal)
          abort.abort(new Error('enough'))
          await assert.rejects(opening, /enough/)
          await assert.rejects(lanes[end === 'offered' ? 'dialed' : 'offered'].secure(place.signal))
        }
        await Promise.all([place.threads.outgoing.stop(), place.threads.incoming.stop()])
      })
    } finally {
      await place.stop()
    }
  })
})
