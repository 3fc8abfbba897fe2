import assert from 'node:assert/strict'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { createServer } from 'node:net'

import { countOf, expectCounts, majorOf, type QemuCount } from '../support/labmove.ts'
import type { Drive, ManagerLab } from './managerlab.ts'

/** Tests of migrations through `pagemesh tunnel`. */
export function tunnelled(lab: () => ManagerLab, isWhole: boolean): void {
  afterEach(() => lab().endGuests())

  it('passes over 8 multifd channels and a UNIX socket renamed aside, as KubeVirt has it', async () => {
    const drive: Drive = {
      ...lab().unixDrive(), capabilities: ['multifd'], parameters: { 'multifd-channels': 8 },
    }
    // KubeVirt's proxy listens where QEMU will dial; the tunnel replaces its socket.
    let strays = 0
    const proxy = createServer((socket) => {
      strays += 1
      socket.destroy()
    }).listen(drive.path)
    await once(proxy, 'listening')
    renameSync(drive.path, `${drive.path}.aside`)
    try {
      const ended = await lab().tunnelled(drive, async ({ source }) => {
        assert.equal((await countOf(source)).status, 'completed')
      })
      expectMoved(ended)
      assert.deepEqual([ended.mode, ended.channels], ['precopy', 9])
      assert.equal(strays, 0)
    } finally {
      proxy.close()
    }
  })

  it('passes in post-copy over loopback', async () => {
    const ended = await lab().tunnelled({ ...lab().tcpDrive(), postcopy: true })
    expectMoved(ended)
    assert.deepEqual([ended.mode, ended.channels], ['postcopy', 1])
  })

  it('passes in post-copy with a channel for urgent pages', async () => {
    const ended = await lab().tunnelled({ ...lab().unixDrive(), postcopy: true, capabilities: ['postcopy-preempt'] })
    // A destination that has every urgent page may close their channel before its last message.
    expectMoved({ ...ended, digestMatched: true })
    assert.deepEqual([ended.mode, ended.channels], ['postcopy', 2])
  })

  if (!isWhole) return

  it('passes over a UNIX socket; both hosts have the same exact counts', async () => {
    const before = { a: await lab().status('a'), b: await lab().status('b') }
    let counted: { counted: QemuCount; major: number } | undefined
    const ended = await lab().tunnelled(lab().unixDrive(), async ({ source }) => {
      counted = { counted: await countOf(source), major: await majorOf(source) }
    })
    expectMoved(ended)
    assert.deepEqual([ended.mode, ended.channels], ['precopy', 1])
    assert.ok(ended.wireBytes < ended.qemuBytes / 2, `${ended.wireBytes} of ${ended.qemuBytes} bytes`)
    expectCounts(ended, counted!)
    const [left, arrived] = [await lab().record('a', ended.guest), await lab().record('b', ended.guest)]
    assert.deepEqual(left, { ...ended, direction: 'outgoing', driver: 'relay', endedAt: left.endedAt })
    assert.deepEqual([arrived.direction, arrived.driver, arrived.status], ['incoming', 'relay', 'completed'])
    for (const field of ['qemuBytes', 'channels', 'mode', 'peerBytes', 'refsFilledBy'] as const) {
      assert.deepEqual(arrived[field], ended[field], field)
    }
    const after = { a: await lab().status('a'), b: await lab().status('b') }
    const moved = (host: 'a' | 'b', way: 'sentBytes' | 'receivedBytes'): number =>
      after[host].traffic.handoff[way] - before[host].traffic.handoff[way]
    assert.deepEqual([moved('a', 'sentBytes'), moved('a', 'receivedBytes')], [ended.wireBytes, ended.receivedWireBytes])
    assert.deepEqual([moved('b', 'receivedBytes'), moved('b', 'sentBytes')],
      [arrived.wireBytes, arrived.receivedWireBytes])
    for (const [host, record] of [['a', left], ['b', arrived]] as const) {
      assert.equal(after[host].ledger.savedBytes - before[host].ledger.savedBytes, record.ledger.savedBytes)
      assert.ok(record.ledger.savedBytes > record.qemuBytes / 2, `${record.ledger.savedBytes} bytes saved`)
    }
  })
}

type Ended = Awaited<ReturnType<ManagerLab['tunnelled']>>

/** What must hold of each successful migration. */
export function expectMoved(ended: Ended): void {
  assert.equal(ended.status, 'completed', JSON.stringify(ended))
  assert.ok(ended.digestMatched)
  assert.ok(ended.pages.ref > 0, 'pages became references')
  assert.equal(ended.pages.total, ended.pages.zero + ended.pages.ref + ended.pages.literal)
}
