/** What comes in over streams from members that lie, stall or flood. */
import assert from 'node:assert/strict'

import { MemoryNetwork, Standing, StreamTraffic, type Mesh, type MessageStream } from '../../../src/mesh/index.ts'
import { LIMITS } from '../../../src/popularity/limits.ts'
import type { SliceOwners } from '../../../src/popularity/owners.ts'
import { Refusals } from '../../../src/popularity/refusals.ts'
import {
  decodeAnswer, encodeAsk, encodeReport, REPORT_PROTOCOL, type ReportHead,
} from '../../../src/popularity/report/reportcodec.ts'
import { ReportGroups } from '../../../src/popularity/report/reportgroups.ts'
import { ReportServer } from '../../../src/popularity/report/reportserver.ts'
import { ReportTable } from '../../../src/popularity/report/reporttable.ts'
import { SLICE_COUNT } from '../../../src/popularity/slice.ts'
import { VirtualClock } from '../../support/time.ts'
import { groupsOf, ownersOf, type ReportedGroup } from './made.ts'

const signal = new AbortController().signal
const HEAD: ReportHead = { incarnation: 1, number: 1, base: 0 }
const NAMES = ['owner', 'liar', 'honest', 'fourth', 'fifth', 'sixth', 'seventh']

interface Scene {
  clock: VirtualClock
  table: ReportTable
  owners: SliceOwners
  standing: Standing
  refusals: Refusals
  asked: string[]
  changed: number[]
  /** A slice that the owner is ranked for, and one that it is not. */
  owned: number
  foreign: number
  open(from?: string): Promise<MessageStream>
}

async function started(isSettled = true): Promise<Scene> {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock })
  const meshes = new Map<string, Mesh>(NAMES.map((name) => [name, network.createMesh(name)]))
  for (const mesh of meshes.values()) await mesh.start()
  const owners = ownersOf(NAMES)
  const standing = new Standing({ clock })
  const refusals = new Refusals({ standing })
  const table = new ReportTable({ pagesMax: 1_000_000, hostCount: () => NAMES.length })
  const asked: string[] = []
  const changed: number[] = []
  const mesh = meshes.get('owner')!
  const server = new ReportServer({ mesh, clock, owners, table, traffic: new StreamTraffic(), refusals }, {
    catchUp: () => undefined, isSettled: () => isSettled,
    changed: (slices) => changed.push(...slices), asked: ({ name }) => { asked.push(name) },
  })
  server.listen(signal)
  const slices = Array.from({ length: SLICE_COUNT }, (_, slice) => slice)
  return {
    clock, table, owners, standing, refusals, asked, changed,
    owned: slices.find((slice) => owners.owns('owner', slice))!,
    foreign: slices.find((slice) => owners.rankOf('owner', slice) === -1)!,
    open: (from = 'liar') => meshes.get(from)!.open('owner', REPORT_PROTOCOL, signal),
  }
}

function frames(head: ReportHead, list: readonly ReportedGroup[]): Uint8Array[] {
  return [...encodeReport(head, groupsOf(list))]
}

function whole(slice: number, count = 3): ReportedGroup {
  return { slice, isWhole: true, pages: Array.from({ length: count }, (_, rest) => [rest * 3, 1] as const) }
}

/** Sends a report and gives the answer; `broken` if the owner broke the stream instead. */
async function report(scene: Scene, list: readonly Uint8Array[], from?: string): Promise<string> {
  const stream = await scene.open(from)
  try {
    for (const frame of list) await stream.send(frame, signal)
    return decodeAnswer(await scene.clock.complete(stream.receive(signal), 1000))
  } catch {
    return 'broken'
  } finally {
    await stream.close()
  }
}

function isTrusted({ standing }: Scene): boolean {
  return standing.isTrusted('memory-liar')
}

describe('an owner', () => {
  it('takes an honest report, and says of which slices it was', async () => {
    const scene = await started()
    assert.equal(await report(scene, frames(HEAD, [whole(scene.owned)])), 'accepted')
    assert.deepEqual([scene.table.pages, scene.changed, scene.refusals.counts], [3, [scene.owned], {}])
  })

  for (const [what, reason, broken] of [
    ['what cannot be read', 'malformed', () => Uint8Array.of(7, 7, 7)],
    ['a single byte', 'malformed', () => Uint8Array.of(1)],
    ['no byte at all', 'malformed', () => new Uint8Array(0)],
    ['more bytes than a frame has', 'too-large', () => new Uint8Array(60_000).fill(1)],
    ['guests that no host can run', 'absurd-count', (scene: Scene) =>
      frames(HEAD, [{ slice: scene.owned, isWhole: true, pages: [[1, 1025]] }])[0]!],
    ['pages of a whole slice that it does not hold', 'contradictory', (scene: Scene) =>
      frames(HEAD, [{ slice: scene.owned, isWhole: true, pages: [[1, 0]] }])[0]!],
  ] as const) {
    it(`refuses ${what}, counts it, and listens no more after the fourth`, async () => {
      const scene = await started()
      for (let times = 0; times < 4; times++) {
        assert.equal(isTrusted(scene), true)
        assert.equal(await report(scene, [broken(scene)]), 'broken')
      }
      assert.deepEqual(scene.refusals.counts, { [reason]: 4 })
      assert.equal(isTrusted(scene), false)
      assert.equal(await report(scene, frames(HEAD, [whole(scene.owned)])), 'broken')
      assert.deepEqual([scene.refusals.counts['untrusted'], scene.table.pages], [1, 0])
      const honest = frames(HEAD, [whole(scene.owned)])
      assert.equal(await report(scene, honest, 'honest'), 'accepted', 'others are heard as before')
    })
  }

  it('does not take slices that it is not ranked for, and none beside them', async () => {
    for (const [isSettled, counts] of [[true, 20], [false, 20]] as const) {
      const scene = await started(isSettled)
      const list = [scene.owned, scene.foreign].sort((a, b) => a - b).map((slice) => whole(slice))
      for (let times = 0; times < counts && isTrusted(scene); times++) {
        assert.equal(await report(scene, frames(HEAD, list)), 'not-owner')
      }
      assert.equal(scene.table.pages, 0)
      assert.equal(scene.refusals.counts['not-owner'], isSettled ? 16 : 20)
      assert.equal(isTrusted(scene), !isSettled, 'while members come and go it may be bad luck')
    }
  })

  it('counts a report once that comes again and again, and refuses an older one', async () => {
    const scene = await started()
    const later = frames({ ...HEAD, number: 5 }, [whole(scene.owned, 4)])
    for (let times = 0; times < 3; times++) assert.equal(await report(scene, later), 'accepted')
    assert.equal(await report(scene, frames({ ...HEAD, number: 4 }, [whole(scene.owned, 9)])), 'refused')
    assert.deepEqual([scene.table.pages, scene.refusals.counts], [4, { stale: 1 }])
  })

  it('refuses frames that contradict each other', async () => {
    const first = (scene: Scene): Uint8Array => [...encodeReport(HEAD, groupsOf([whole(scene.owned)]), false)][0]!
    for (const second of [
      (scene: Scene) => frames(HEAD, [whole(scene.owned)])[0]!,
      (scene: Scene) => frames({ ...HEAD, number: 2 }, [whole(scene.owned + 1)])[0]!,
      () => frames({ ...HEAD, incarnation: 2 }, [])[0]!,
      () => frames({ ...HEAD, number: 2, base: 1 }, [])[0]!,
      () => encodeAsk(),
    ]) {
      const scene = await started()
      assert.equal(await report(scene, [first(scene), second(scene)]), 'broken')
      assert.deepEqual([scene.refusals.counts, scene.table.pages], [{ contradictory: 1 }, 0])
    }
  })

  it('takes nothing of a report that breaks midway', async () => {
    const scene = await started()
    const many = Array.from({ length: SLICE_COUNT }, (_, slice) => slice)
      .filter((slice) => scene.owners.owns('owner', slice)).map((slice) => whole(slice, 40))
    const list = frames(HEAD, many)
    assert.ok(list.length >= 4)
    for (let sent = 1; sent < list.length; sent++) {
      const stream = await scene.open()
      for (const frame of list.slice(0, sent)) await stream.send(frame, signal)
      if (sent % 2 === 0) stream.abort(new Error('broken'))
      else await stream.close()
      await scene.clock.run(scene.clock.now() + 1000)
    }
    assert.deepEqual([scene.table.pages, scene.table.has('liar'), scene.changed], [0, false, []])
    assert.equal(isTrusted(scene), true, 'networks break')
    assert.equal(await report(scene, list), 'accepted')
  })

  it('does not wait for one that stalls, and hears others meanwhile', async () => {
    const scene = await started()
    const stream = await scene.open()
    await stream.send([...encodeReport(HEAD, groupsOf([whole(scene.owned)]), false)][0]!, signal)
    await scene.clock.run(10_000)
    assert.equal(await report(scene, frames(HEAD, [whole(scene.owned)])), 'broken', 'one report of a host at a time')
    assert.equal(await report(scene, frames(HEAD, [whole(scene.owned)]), 'honest'), 'accepted')
    await scene.clock.run(30_000)
    await assert.rejects(stream.receive(signal))
    assert.deepEqual(scene.refusals.counts, { busy: 1, 'too-slow': 1 })
    assert.equal(await report(scene, frames(HEAD, [whole(scene.owned)])), 'accepted')
  })

  it('does not wait longer for one that sends a frame now and then', async () => {
    const scene = await started()
    const stream = await scene.open()
    const [frame] = [...encodeReport(HEAD, new ReportGroups(), false)]
    let sent = 0
    for (; sent < 100; sent++) {
      try {
        await stream.send(frame!, signal)
      } catch {
        break
      }
      await scene.clock.run(scene.clock.now() + 5_000)
    }
    assert.ok(sent <= 7, `${sent} frames`)
    assert.deepEqual(scene.refusals.counts, { 'too-slow': 1 })
  })

  it('refuses a report without end', async () => {
    const scene = await started()
    const [frame] = [...encodeReport(HEAD, new ReportGroups(), false)]
    assert.equal(await report(scene, Array<Uint8Array>(LIMITS.framesPerReport + 1).fill(frame!)), 'broken')
    assert.deepEqual(scene.refusals.counts, { 'too-large': 1 })
  })

  it('says full, at no cost to the sender, when there are more pages than it can keep', async () => {
    const scene = await started()
    const { owned, owners } = scene
    const slices = Array.from({ length: SLICE_COUNT }, (_, slice) => slice)
      .filter((slice) => owners.owns('owner', slice)).slice(0, 21)
    assert.ok(slices.includes(owned))
    assert.equal(await report(scene, frames(HEAD, slices.map((slice) => whole(slice, 50_000)))), 'full')
    assert.deepEqual([scene.table.pages, scene.refusals.counts, isTrusted(scene)], [0, { full: 1 }, true])
  }).timeout(60_000)

  it('asks for the whole on the same stream when it knows nothing of what changed', async () => {
    const scene = await started()
    const stream = await scene.open('honest')
    const changed: ReportedGroup = { slice: scene.owned, isWhole: false, pages: [[1, 1]] }
    const [changes] = frames({ incarnation: 1, number: 6, base: 5 }, [changed])
    await stream.send(changes!, signal)
    assert.equal(decodeAnswer(await stream.receive(signal)), 'need-whole')
    await stream.send(frames({ incarnation: 1, number: 6, base: 0 }, [whole(scene.owned)])[0]!, signal)
    assert.equal(decodeAnswer(await stream.receive(signal)), 'accepted')
    await stream.close()
    assert.deepEqual([scene.table.pages, scene.refusals.counts], [3, {}])
  })

  it('hears that another knows nothing of this host', async () => {
    const scene = await started()
    const stream = await scene.open()
    await stream.send(encodeAsk(), signal)
    await assert.rejects(stream.receive(signal))
    assert.deepEqual(scene.asked, ['liar'])
  })
})
