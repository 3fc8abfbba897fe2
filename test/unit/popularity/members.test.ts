import assert from 'node:assert/strict'

import { MemoryNetwork, type Mesh } from '../../../src/mesh/index.ts'
import { Members } from '../../../src/popularity/members.ts'
import { VirtualClock } from '../../support/time.ts'

const GRACE_MS = 30_000
const QUIET_MS = 5_000

async function started() {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock })
  const self = network.createMesh('self')
  await self.start()
  const join = async (name: string): Promise<Mesh> => {
    const mesh = network.createMesh(name)
    await mesh.start()
    return mesh
  }
  const first = await join('first')
  const members = new Members({ clock }, { graceMs: GRACE_MS })
  const stop = members.watch(self)
  const pass = (ms: number): Promise<void> => clock.run(clock.now() + ms)
  return { members, join, first, stop, pass }
}

describe('who is in the mesh', () => {
  it('is known from the beginning, and as members come and go', async () => {
    const { members, join, first, stop } = await started()
    await join('second')
    assert.deepEqual([members.names, members.count], [['first', 'second'], 2])
    assert.equal(members.named('second')?.name, 'second')
    assert.equal(members.ofPeer(first.self.peerId)?.name, 'first')
    await first.stop()
    assert.deepEqual(members.names, ['second'])
    assert.equal(members.ofPeer(first.self.peerId), undefined)
    stop()
    assert.deepEqual(members.names, [])
  })

  it('has changed once for many changes, when they have come to rest', async () => {
    const { members, join, pass } = await started()
    assert.equal(members.takeChanged(0), true)
    assert.equal(members.takeChanged(0), false)
    for (let index = 0; index < 3; index++) {
      await join(`new-${index}`)
      await pass(QUIET_MS - 1)
      assert.equal(members.takeChanged(QUIET_MS), false)
    }
    await pass(1)
    assert.equal(members.takeChanged(QUIET_MS), true)
    assert.equal(members.quietMs, QUIET_MS)
  })

  it('has changed after a while also if it does not come to rest', async () => {
    const { members, join, pass } = await started()
    members.takeChanged(0)
    let waitedMs = 0
    for (let index = 0; !members.takeChanged(QUIET_MS); index++, waitedMs += 1000) {
      await join(`new-${index}`)
      await pass(1000)
    }
    assert.ok(waitedMs <= 4 * QUIET_MS, `${waitedMs} ms`)
  })

  it('forgets those alone who stay away', async () => {
    const { members, join, first, pass } = await started()
    await first.stop()
    await pass(GRACE_MS - 1)
    assert.deepEqual(members.takeGone(), [])
    await first.start()
    await pass(GRACE_MS)
    assert.deepEqual(members.takeGone(), [], 'it came back')
    const second = await join('second')
    await second.stop()
    await pass(GRACE_MS)
    assert.deepEqual(members.takeGone(), ['second'])
    assert.deepEqual(members.takeGone(), [])
  })

  it('names one that has been here for long and is wanted, not again and again', async () => {
    const { members, pass } = await started()
    assert.equal(members.takeStayer(1000, 1000, () => true), undefined)
    await pass(1000)
    assert.equal(members.takeStayer(1000, 1000, () => false), undefined)
    assert.equal(members.takeStayer(1000, 1000, () => true)?.name, 'first')
    assert.equal(members.takeStayer(1000, 1000, () => true), undefined)
    await pass(1000)
    assert.equal(members.takeStayer(1000, 1000, () => true)?.name, 'first')
  })
})
