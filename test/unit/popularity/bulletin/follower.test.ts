import assert from 'node:assert/strict'

import { Standing } from '../../../../src/mesh/index.ts'
import { encodeBulletin } from '../../../../src/popularity/bulletin/bulletincodec.ts'
import {
  checksumOf, GROUP_KIND, type BulletinGroup, type GroupKind,
} from '../../../../src/popularity/bulletin/bulletingroups.ts'
import { Follower } from '../../../../src/popularity/bulletin/follower.ts'
import { hostTag } from '../../../../src/popularity/owners.ts'
import { PopularRun } from '../../../../src/popularity/popularrun.ts'
import { Refusals } from '../../../../src/popularity/refusals.ts'
import { SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { View } from '../../../../src/popularity/view/view.ts'
import { VirtualClock } from '../../../support/time.ts'
import {
  bulletinGroup, memberNamed, membersNamed, ownersOf, popularPagesOf, popularRunOf, type PopularPage,
} from '../made.ts'

const INTERVAL_MS = 60_000
const SLICES = Array.from({ length: SLICE_COUNT }, (_, slice) => slice)
const NAMES = ['self', ...Array.from({ length: 9 }, (_, index) => `host-${index}`)]

/** A follower among ten hosts, and a slice that four others than it are ranked for. */
function started(isSettled = true) {
  const clock = new VirtualClock()
  const owners = ownersOf(NAMES)
  const standing = new Standing({ clock })
  const refusals = new Refusals({ standing })
  const view = new View({ maxPages: 10_000, nameOfTag: (tag) => owners.nameOfTag(tag) })
  const follower = new Follower({ clock, owners, view, refusals },
    { self: 'self', minHosts: 2, intervalMs: INTERVAL_MS, isSettled: () => isSettled })
  const slice = SLICES.find((number) => owners.rankOf('self', number) === -1)!
  const ranked = [0, 1, 2, 3].map((rank) => owners.at(slice, rank)!) as [string, string, string, string]
  const stranger = NAMES.find((name) => name !== 'self' && !ranked.includes(name))!
  return { clock, owners, standing, refusals, view, follower, slice, ranked, stranger }
}

type Started = ReturnType<typeof started>

const page = (rest: number, hosts = 2): PopularPage =>
  ({ rest, guests: Math.max(1, hosts), hosts, holders: hosts === 0 ? [] : [1, 2] })

function say(
  { follower, slice }: Started, from: string, kind: GroupKind, version: number, pages: readonly PopularPage[],
  more: { incarnation?: number; checksum?: number; slice?: number } = {},
): void {
  const { incarnation = 5, ...rest } = more
  const group: BulletinGroup = { ...bulletinGroup({ slice, kind, version, publisher: 0, incarnation }, pages), ...rest }
  follower.hear(encodeBulletin({ incarnation, groups: [group] }), memberNamed(from))
}

function tell(
  { follower, slice }: Started, from: string, publisher: string, version: number, pages: readonly PopularPage[],
  incarnation = 5,
): void {
  const head = { slice, kind: GROUP_KIND.whole, version, publisher: hostTag(publisher), incarnation }
  follower.learn(bulletinGroup(head, pages), memberNamed(from))
}

function rests({ view, slice }: Started): number[] {
  const run = new PopularRun(0)
  view.readSlice(slice, run)
  return popularPagesOf(run).map(({ rest }) => rest)
}

const { still, changes, whole, takeover } = GROUP_KIND

describe('a follower of publishers', () => {
  it('takes a whole, and changes one after the other', () => {
    const all = started()
    say(all, all.ranked[0], whole, 1, [page(1), page(2)])
    say(all, all.ranked[0], changes, 2, [page(2, 0), page(3)])
    say(all, all.ranked[0], changes, 3, [page(9, 4)])
    assert.deepEqual(rests(all), [1, 3, 9])
    assert.equal(all.follower.states.isBehind(all.slice), false)
  })

  it('says when it heard of the slice that has been silent for longest', async () => {
    const all = started()
    assert.equal(all.follower.oldestHeardAt(), Infinity)
    all.follower.own(all.slice + 1)
    assert.equal(all.follower.oldestHeardAt(), Infinity, 'its own are not silent')
    await all.clock.run(1000)
    say(all, all.ranked[0], whole, 1, [page(1)])
    await all.clock.run(5000)
    assert.equal(all.follower.oldestHeardAt(), 1000)
    say(all, all.ranked[0], still, 1, [])
    assert.equal(all.follower.oldestHeardAt(), 5000)
  })

  it('ignores what is stale or comes twice', () => {
    const all = started()
    say(all, all.ranked[0], whole, 1, [page(1)])
    for (let times = 0; times < 3; times++) say(all, all.ranked[0], changes, 2, [page(2)])
    say(all, all.ranked[0], changes, 3, [page(2, 0)])
    say(all, all.ranked[0], whole, 1, [page(1)])
    say(all, all.ranked[0], changes, 2, [page(2)])
    say(all, all.ranked[0], still, 2, [])
    assert.deepEqual(rests(all), [1])
    assert.equal(all.follower.states.isBehind(all.slice), false)
    assert.deepEqual(all.refusals.counts, {}, 'networks repeat')
  })

  it('sees that it missed a version, takes no changes across the gap, and the whole again', () => {
    const all = started()
    say(all, all.ranked[0], whole, 1, [page(1)])
    say(all, all.ranked[0], changes, 3, [page(3)])
    assert.equal(all.follower.states.isBehind(all.slice), true)
    say(all, all.ranked[0], changes, 2, [page(2)])
    assert.deepEqual(rests(all), [1])
    tell(all, all.ranked[0], all.ranked[0], 3, [page(1), page(2), page(3)])
    assert.deepEqual([rests(all), all.follower.states.isBehind(all.slice)], [[1, 2, 3], false])
    say(all, all.ranked[0], still, 4, [])
    assert.equal(all.follower.states.isBehind(all.slice), true, 'a word that nothing changed shows it too')
  })

  it('listens to the best-ranked that speaks', () => {
    const all = started()
    const [first, second, third] = all.ranked
    say(all, third, whole, 7, [page(3)])
    say(all, second, whole, 1, [page(2)])
    assert.deepEqual(rests(all), [2])
    say(all, third, whole, 8, [page(3)])
    say(all, second, changes, 2, [page(4)])
    assert.deepEqual(rests(all), [2, 4])
    say(all, first, whole, 1, [page(1)])
    for (const worse of [second, third]) say(all, worse, whole, 9, [page(9)])
    assert.deepEqual(rests(all), [1])
    assert.equal(all.follower.states.publishers[all.slice], hostTag(first))
  })

  it('turns to the next when the best is gone, or has been silent for long', async () => {
    const all = started()
    const [first, second] = all.ranked
    say(all, first, whole, 1, [page(1)])
    await all.clock.run(10 * INTERVAL_MS)
    say(all, second, whole, 1, [page(2)])
    assert.deepEqual(rests(all), [1])
    await all.clock.run(10 * INTERVAL_MS + 1)
    say(all, second, whole, 1, [page(2)])
    assert.deepEqual(rests(all), [2])
    say(all, first, changes, 2, [page(1)])
    assert.equal(all.follower.states.isBehind(all.slice), true, 'the best speaks again: it must be asked')
    all.owners.update(membersNamed(NAMES.filter((name) => name !== first)))
    say(all, second, whole, 2, [page(3)])
    assert.deepEqual(rests(all), [3])
  })

  it('takes a publisher that began anew, and what that says of its former life no more', () => {
    const all = started()
    const [first] = all.ranked
    say(all, first, whole, 90, [page(1)], { incarnation: 5 })
    say(all, first, whole, 1, [page(2)], { incarnation: 6 })
    assert.deepEqual(rests(all), [2])
    say(all, first, whole, 91, [page(1)], { incarnation: 5 })
    assert.deepEqual(rests(all), [2])
    say(all, first, changes, 3, [page(5)], { incarnation: 7 })
    assert.deepEqual([rests(all), all.follower.states.isBehind(all.slice)], [[2], true])
  })

  it('goes on from what it knows when another takes over, if that is what the other knows', () => {
    const all = started()
    const [first, second] = all.ranked
    const known = [page(1), page(2)]
    say(all, second, whole, 4, known)
    say(all, first, takeover, 1, [page(2, 0), page(8)], { checksum: checksumOf(popularRunOf(known)) })
    assert.deepEqual([rests(all), all.follower.states.isBehind(all.slice)], [[1, 8], false])
    const other = started()
    say(other, other.ranked[1], whole, 4, [page(1)])
    say(other, other.ranked[0], takeover, 1, [page(8)], { checksum: checksumOf(popularRunOf(known)) })
    assert.deepEqual([rests(other), other.follower.states.isBehind(other.slice)], [[1], true])
  })

  it('does not go on from what it has missed a part of, however alike it looks', () => {
    const all = started()
    say(all, all.ranked[1], whole, 4, [page(1, 2)])
    say(all, all.ranked[1], still, 5, [])
    say(all, all.ranked[0], takeover, 1, [], { checksum: checksumOf(popularRunOf([page(1, 9)])) })
    assert.equal(all.follower.states.isBehind(all.slice), true)
  })

  it('takes hearsay for want of better, and newer hearsay, but never against a publisher\'s own word', () => {
    const all = started()
    const [first] = all.ranked
    tell(all, all.stranger, first, 3, [page(1)])
    assert.deepEqual([rests(all), all.follower.states.isHearsay(all.slice)], [[1], true])
    tell(all, all.stranger, first, 4, [page(2)])
    assert.deepEqual(rests(all), [2])
    say(all, first, changes, 5, [page(3)])
    assert.deepEqual([rests(all), all.follower.states.isHearsay(all.slice)], [[2, 3], true], 'still to be asked for')
    say(all, first, whole, 5, [page(7)])
    assert.deepEqual([rests(all), all.follower.states.isHearsay(all.slice)], [[7], false])
    tell(all, all.stranger, first, 9, [page(6)])
    tell(all, all.stranger, all.ranked[1], 9, [page(6)])
    assert.deepEqual(rests(all), [7])
  })

  it('lets nobody speak against a publisher by claiming versions or lives of it that never were', () => {
    for (const [version, incarnation] of [[2 ** 32 - 2, 5], [1, 0xffff_ffff]] as const) {
      const all = started()
      const [first] = all.ranked
      tell(all, all.stranger, first, version, [page(666)], incarnation)
      say(all, first, still, 2, [])
      assert.equal(all.follower.states.isBehind(all.slice), true)
      tell(all, first, first, 2, [page(1)])
      assert.deepEqual([rests(all), all.follower.states.isHearsay(all.slice)], [[1], false])
    }
    const all = started()
    tell(all, all.stranger, 'self', 1, [page(666)])
    const nobodys = { slice: all.slice, kind: whole, version: 1, publisher: 0, incarnation: 1 }
    all.follower.learn(bulletinGroup(nobodys, [page(666)]), memberNamed(all.stranger))
    assert.deepEqual(rests(all), [])
  })

  it('keeps what it publishes itself from all who are not ranked better', () => {
    const all = started()
    const slice = SLICES.find((number) => all.owners.rankOf('self', number) === 1)!
    const mine = { ...all, slice }
    mine.follower.own(slice)
    mine.view.replaceSlice(slice, popularRunOf([page(5)]))
    say(mine, all.owners.at(slice, 2)!, whole, 1, [page(6)])
    tell(mine, all.owners.at(slice, 3)!, all.owners.at(slice, 0)!, 1, [page(6)])
    assert.deepEqual(rests(mine), [5])
    say(mine, all.owners.at(slice, 0)!, whole, 1, [page(6)])
    assert.deepEqual(rests(mine), [6])
  })

  it('forgets a slice of which nobody has spoken for very long', async () => {
    const all = started()
    say(all, all.ranked[0], whole, 1, [page(1)])
    await all.clock.run(15 * INTERVAL_MS)
    say(all, all.ranked[0], still, 1, [])
    await all.clock.run(34 * INTERVAL_MS)
    all.follower.expire()
    assert.deepEqual(rests(all), [1])
    await all.clock.run(36 * INTERVAL_MS)
    all.follower.expire()
    assert.deepEqual([rests(all), all.follower.states.publishers[all.slice]], [[], 0])
  })

  it('counts as popular what its own measure says', () => {
    const all = started()
    say(all, all.ranked[0], whole, 1, [page(1, 1), page(2, 2)])
    assert.deepEqual(rests(all), [2])
    say(all, all.ranked[0], changes, 2, [page(2, 1), page(3, 3)])
    assert.deepEqual(rests(all), [3])
  })
})

describe('a follower refuses', () => {
  const distrust = (all: Started, name: string): void => all.standing.fault(memberNamed(name).peerId, 10)

  it('a slice that is not its sender\'s, once hosts agree on whose it is', () => {
    const all = started()
    for (let times = 0; times < 15; times++) say(all, all.stranger, whole, times + 1, [page(1)])
    assert.deepEqual([rests(all), all.refusals.counts], [[], { 'not-owner': 15 }])
    assert.equal(all.standing.isTrusted(memberNamed(all.stranger).peerId), true, 'it may be bad luck')
    say(all, all.stranger, whole, 99, [page(1)])
    assert.equal(all.standing.isTrusted(memberNamed(all.stranger).peerId), false)
    const unsettled = started(false)
    say(unsettled, unsettled.stranger, whole, 1, [page(1)])
    assert.deepEqual([rests(unsettled), unsettled.refusals.counts], [[], {}])
  })

  it('counts that are absurd, with all that stands beside them', () => {
    const all = started()
    const [first] = all.ranked
    for (let times = 0; times < 4; times++) say(all, first, whole, 1, [page(1), page(2, 29)])
    assert.deepEqual([rests(all), all.refusals.counts], [[], { 'absurd-count': 4 }])
    assert.equal(all.standing.isTrusted(memberNamed(first).peerId), false)
    const asked = started()
    tell(asked, asked.ranked[0], asked.ranked[0], 1, [page(2, 29)])
    tell(asked, asked.stranger, asked.ranked[0], 1, [page(2, 29)])
    assert.deepEqual([rests(asked), asked.refusals.counts], [[], { 'absurd-count': 2 }])
  })

  it('what cannot be read', () => {
    const all = started()
    for (const bytes of [[], [0], [1, 0, 0], [2, 0, 0, 0, 0, 0]]) {
      all.follower.hear(Uint8Array.from(bytes), memberNamed(all.ranked[0]))
    }
    assert.deepEqual(all.refusals.counts, { malformed: 4 })
    assert.equal(all.standing.isTrusted(memberNamed(all.ranked[0]).peerId), false)
  })

  it('whatever comes from one that has lost its standing', () => {
    const all = started()
    distrust(all, all.ranked[0])
    say(all, all.ranked[0], whole, 1, [page(1)])
    assert.deepEqual([rests(all), all.refusals.counts], [[], { untrusted: 1 }])
  })

  it('a lying publisher for all slices but its own', () => {
    const all = started()
    const liar = all.ranked[0]
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const publisher = all.owners.at(slice, 0)!
      if (publisher !== 'self') say({ ...all, slice }, publisher, whole, 1, [page(1)])
    }
    for (let from = 0; from < SLICE_COUNT; from += 1024) {
      const groups = Array.from({ length: 1024 }, (_, index) =>
        bulletinGroup({ slice: from + index, kind: whole, version: 50, publisher: 0, incarnation: 5 }, [page(666)]))
      all.follower.hear(encodeBulletin({ incarnation: 5, groups }), memberNamed(liar))
    }
    assert.deepEqual(all.refusals.counts, { 'not-owner': 4 }, 'once a message')
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const rank = all.owners.rankOf(liar, slice)
      if (all.owners.at(slice, 0) === 'self') continue
      assert.deepEqual(rests({ ...all, slice }), rank === 0 ? [666] : [1])
    }
  })
})
