import assert from 'node:assert/strict'

import { MemoryNetwork, Standing, StreamTraffic, type Mesh, type MessageStream } from '../../../../src/mesh/index.ts'
import { encodeViewPart } from '../../../../src/popularity/bulletin/bulletincodec.ts'
import { GROUP_KIND, type BulletinGroup } from '../../../../src/popularity/bulletin/bulletingroups.ts'
import { encodeRequest, VIEW_PROTOCOL, ViewExchange } from '../../../../src/popularity/bulletin/viewexchange.ts'
import { LIMITS } from '../../../../src/popularity/limits.ts'
import { Refusals } from '../../../../src/popularity/refusals.ts'
import { REST_LIMIT, SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { VirtualClock } from '../../../support/time.ts'
import { bulletinGroup, popularPagesOf, type PopularPage } from '../made.ts'

const signal = new AbortController().signal
const ANSWERS_MAX = 8

function wholeOf(slice: number, pages?: readonly PopularPage[]): BulletinGroup {
  const one = [{ rest: slice, guests: 3, hosts: 2, holders: [1, 2, 0] }]
  const head = { slice, kind: GROUP_KIND.whole, version: slice + 1, publisher: 5, incarnation: 6 }
  return bulletinGroup(head, pages ?? one)
}

/** Some hosts, of which `other` answers with what it knows. */
async function started(names: readonly string[], known: (slice: number) => BulletinGroup | undefined = wholeOf) {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock })
  const meshes = new Map<string, Mesh>()
  for (const name of ['other', ...names]) meshes.set(name, network.createMesh(name))
  for (const mesh of meshes.values()) await mesh.start()
  const standing = new Standing({ clock })
  const refusals = new Refusals({ standing })
  const exchangeOf = (name: string): ViewExchange =>
    new ViewExchange({ mesh: meshes.get(name)!, clock, traffic: new StreamTraffic(), refusals })
  const exchange = exchangeOf('other')
  const stop = exchange.listen(known, signal)
  const ask = async (name: string, slices: readonly number[] | 'all', stepMs = 1000): Promise<BulletinGroup[]> => {
    const groups: BulletinGroup[] = []
    const mesh = meshes.get(name)!
    const learn = (group: BulletinGroup): void => { groups.push(group) }
    await clock.complete(exchangeOf(name).ask(mesh.member('other')!, slices, learn, signal), stepMs)
    return groups
  }
  const open = (name: string): Promise<MessageStream> => meshes.get(name)!.open('other', VIEW_PROTOCOL, signal)
  /** Whether the other breaks the stream instead of answering. */
  const isRefused = async (name: string, request: Uint8Array): Promise<boolean> => {
    const stream = await open(name)
    try {
      await stream.send(request, signal)
      await clock.complete(stream.receive(signal), 1)
      return false
    } catch {
      return true
    }
  }
  return { clock, meshes, standing, refusals, stop, ask, open, isRefused }
}

describe('one host asks another', () => {
  it('for some slices, or all that it knows, in as many messages as that takes', async () => {
    const { ask } = await started(['asker'], (slice) => (slice % 3 === 0 ? undefined : wholeOf(slice)))
    const some = await ask('asker', [0, 1, 5, 6, 4000])
    assert.deepEqual(some.map(({ slice, version, publisher, incarnation }) => [slice, version, publisher, incarnation]),
      [1, 5, 4000].map((slice) => [slice, slice + 1, 5, 6]))
    assert.deepEqual(popularPagesOf(some[0]!.pages), popularPagesOf(wholeOf(1).pages))
    assert.equal((await ask('asker', 'all')).length, SLICE_COUNT - Math.ceil(SLICE_COUNT / 3))
    assert.deepEqual(await ask('asker', []), [])
  })

  it('and is told the best of a slice with very many pages, also where many are as good', async () => {
    const count = LIMITS.pagesPerSlice + 1000
    const pages = Array.from({ length: count }, (_, index) =>
      ({ rest: Math.floor((index * REST_LIMIT) / count), guests: 2, hosts: index >= count - 100 ? 5 : 2 }))
    const { ask } = await started(['asker'], (slice) => (slice === 7 ? wholeOf(slice, pages) : undefined))
    const [group] = await ask('asker', [7])
    const told = popularPagesOf(group!.pages)
    assert.equal(told.length, LIMITS.pagesPerSlice)
    assert.equal(told.filter(({ hosts }) => hosts === 5).length, 100)
    assert.deepEqual(told.map(({ rest }) => rest), told.map(({ rest }) => rest).sort((a, b) => a - b))
  })

  it('with nonsense, and loses standing', async () => {
    const { isRefused, refusals, standing } = await started(['asker'])
    for (const bytes of [[], [1], [1, 3], [2, 1], [1, 1, 0], [1, 2, 0xff, 0xff, 0xff, 0xff]]) {
      assert.equal(await isRefused('asker', Uint8Array.from(bytes)), true)
    }
    assert.deepEqual(refusals.counts, { malformed: 4, untrusted: 2 })
    assert.equal(standing.isTrusted('memory-asker'), false)
  })

  it('and does not read the answer: that keeps it from asking more, and nobody else', async () => {
    const names = Array.from({ length: ANSWERS_MAX + 1 }, (_, index) => `idle-${index}`)
    // Sixty pages a slice: several megabytes, more than waits for a reader.
    const many = (slice: number): BulletinGroup => wholeOf(slice, Array.from({ length: 60 }, (_, index) =>
      ({ rest: Math.floor((index * REST_LIMIT) / 60), guests: 2, hosts: 2 })))
    const { open, ask, clock, isRefused } = await started([...names, 'asker'], many)
    const idle: MessageStream[] = []
    for (const name of names.slice(0, ANSWERS_MAX - 1)) {
      idle.push(await open(name))
      await idle.at(-1)!.send(encodeRequest('all'), signal)
    }
    await clock.run(clock.now() + 5_000)
    assert.equal(await isRefused(names[0]!, encodeRequest('all')), true, 'one answer at a time for each')
    assert.equal((await ask('asker', [1])).length, 1, 'a place is left')
    idle.push(await open(names[ANSWERS_MAX - 1]!))
    await idle.at(-1)!.send(encodeRequest('all'), signal)
    await clock.run(clock.now() + 1_000)
    await assert.rejects(ask('asker', [1]), 'all places are taken')
    await clock.run(clock.now() + 70_000)
    assert.equal((await ask('asker', [1])).length, 1, 'but not for long')
  })

  it('that is silent, slow, endless or cannot be read, and is not kept by it', async () => {
    const { meshes, clock, ask, stop, refusals } = await started(['asker'])
    stop()
    const part = encodeViewPart([], false)
    let undo = (): void => undefined
    const answerWith = (answer: (stream: MessageStream) => Promise<void>): void => {
      undo()
      undo = meshes.get('other')!.handle(VIEW_PROTOCOL, async (stream) => {
        await stream.receive(signal)
        await answer(stream).catch(() => undefined)
        await stream.receive(signal)
      })
    }
    const timed = async (stepMs = 1000): Promise<number> => {
      const began = clock.now()
      await assert.rejects(ask('asker', 'all', stepMs))
      return clock.now() - began
    }
    answerWith(async () => undefined)
    assert.ok(await timed() <= 25_000)
    answerWith(async (stream) => {
      for (let parts = 0; parts < 1000; parts++) {
        await stream.send(part, signal)
        await clock.sleep(15_000)
      }
    })
    assert.ok(await timed() <= 80_000)
    assert.deepEqual(refusals.counts, {}, 'networks are slow')
    answerWith(async (stream) => {
      for (let parts = 0; parts <= LIMITS.framesPerView; parts++) await stream.send(part, signal)
    })
    await timed(1)
    assert.deepEqual(refusals.counts, { 'too-large': 1 })
    answerWith((stream) => stream.send(Uint8Array.of(1, 1, 1), signal))
    await timed()
    assert.deepEqual(refusals.counts, { 'too-large': 1, malformed: 1 })
  }).timeout(60_000)

  it('only if that has its standing, and is answered only with its own', async () => {
    const { ask, standing, refusals } = await started(['asker'])
    standing.fault('memory-other', 100)
    await assert.rejects(ask('asker', 'all'), /standing/)
    standing.fault('memory-asker', 100)
    const fresh = await started(['asker'])
    fresh.standing.fault('memory-asker', 100)
    await assert.rejects(fresh.ask('asker', 'all'))
    assert.deepEqual([refusals.counts, fresh.refusals.counts], [{}, { untrusted: 1 }])
  })
})
