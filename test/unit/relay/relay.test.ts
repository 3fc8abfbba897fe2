import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { readStartTicks } from '../../../src/guest/index.ts'
import { PAGE_BYTES, PageScopes, type ListedPages } from '../../../src/page/index.ts'
import type { RelayResult } from '../../../src/transfer/index.ts'
import { hasher, idOf, page, sourceWith } from '../../support/madepages.ts'
import { madeEpoch } from '../../support/madescopes.ts'
import { settle, type TestQemu } from '../../support/passagerelay.ts'
import { publicSetOf, publicSourceWith } from '../../support/publicpages.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { postcopyStream, precopyStream } from '../../support/streambuilder.ts'
import { eventually, Hosts, scopes, type Arrived, type HostsOptions } from './hosts.ts'

const SHUT = Buffer.from('0001000400000000', 'hex')
const PAGES = Array.from({ length: 64 }, (_, number) => page(number))
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: PAGES }]).bytes)

function tableOf(pages: readonly Buffer[]): ListedPages['table'] {
  const ids = pages.map(idOf).sort((one, other) => one.compare(other))
  return sortedTable(ids.map((id) => [id.readUInt32BE(0), id.readUInt32BE(4), 0]))
}

describe('a relay', () => {
  let hosts: Hosts

  async function start(options: HostsOptions = {}): Promise<Hosts> {
    hosts = await new Hosts(options).start()
    return hosts
  }

  /** Begins, has a post-copy carried, and cuts it. */
  async function startCut(options: HostsOptions = {}): Promise<void> {
    await start(options)
    const { bytes } = postcopyStream([{ name: 'pc.ram', pages: PAGES }], [{ name: 'pc.ram', pages: PAGES }])
    const { qemu, carried } = hosts.connect()
    await carried
    qemu.write(bytes)
    await eventually(() => hosts.arrived[0]!.bytes().length === bytes.length)
    hosts.network.cutLanes()
    await eventually(() => hosts.results.length === 1)
    assert.deepEqual([hosts.results[0]!.code, hosts.results[0]!.mode], ['postcopy-cut', 'postcopy'])
  }

  /** Begins, and carries the first pages of a migration. */
  async function startHalf(): Promise<{ qemu: TestQemu; there: Arrived }> {
    await start()
    const { qemu, carried } = hosts.connect()
    await carried
    qemu.write(STREAM.subarray(0, 9000))
    const there = hosts.arrived[0]!
    await eventually(() => there.bytes().length === 9000)
    return { qemu, there }
  }

  afterEach(async () => hosts.stop())

  it('carries a migration byte for byte, with references to what the destination has', async () => {
    await start({ pages: PAGES, sources: [sourceWith(PAGES)] })
    const census = { table: tableOf(PAGES), numberAt: (index: number) => index }
    const guest = { name: 'web', manager: undefined, process: undefined, census, scope: scopes.oldest }
    const { qemu, carried } = hosts.connect({ findGuest: async () => guest })
    qemu.write(STREAM)
    await carried
    const [there] = hosts.arrived
    await eventually(() => there!.bytes().equals(STREAM))
    there!.socket.end(SHUT)
    await eventually(() => qemu.received.equals(SHUT) && qemu.hasHeardEnd)
    qemu.endpoint.end()
    await eventually(() => hosts.results.length === 1 && hosts.received.length === 1)
    const [result] = hosts.results
    assert.equal(result!.guest, 'web')
    assert.equal(result!.pages.ref, PAGES.length)
    assert.equal(result!.refsFilledBy.resident, PAGES.length)
    assert.equal(result!.qemuBytes, STREAM.length)
    assert.ok(result!.wireBytes < PAGES.length * PAGE_BYTES / 4, `${result!.wireBytes} bytes`)
    assert.ok(result!.digestMatched)
    assert.deepEqual([result!.status, result!.code, result!.mode], ['unknown', 'not-ended', 'precopy'])
    // Only the offer and its answer did not travel on lanes.
    const { sentBytes, receivedBytes } = hosts.received[0]!.traffic
    const offered = [result!.wireBytes - receivedBytes, result!.receivedWireBytes - sentBytes] as const
    assert.ok(offered[0] > 100 && offered[0] < 600, `${offered[0]} bytes`)
    assert.ok(offered[1] > 10 && offered[1] < 100, `${offered[1]} bytes`)
    assert.deepEqual(hosts.received[0]!.outcome?.code, 'not-ended')
    assert.deepEqual(hosts.standing, { a: 0, b: 0 })
  })

  it('refers to public pages of the destination for a guest of another tenant', async () => {
    const keys = new PageScopes({
      epoch: madeEpoch(1, hasher.pageKey), tenants: ['shared', 'public'], tenantOf: () => 'shared',
    })
    const by = keys.publicHasher(madeEpoch().id)
    await start({
      keys, publicPages: { areThere: true, list: () => publicSetOf(PAGES, by) }, sources: [publicSourceWith(PAGES, by)],
    })
    const census = { table: tableOf(PAGES), numberAt: (index: number) => index }
    const guest = { name: 'web', manager: undefined, process: undefined, census, scope: keys.of('web') }
    const { qemu, carried } = hosts.connect({ findGuest: async () => guest })
    qemu.write(STREAM)
    await carried
    await eventually(() => hosts.arrived[0]!.bytes().equals(STREAM))
    hosts.arrived[0]!.socket.end(SHUT)
    qemu.endpoint.end()
    await eventually(() => hosts.results.length === 1)
    const [result] = hosts.results
    assert.deepEqual([result!.pages.ref, result!.refsFilledBy.resident], [PAGES.length, PAGES.length])
  })

  it('knows a migration as completed once its source QEMU is gone', async () => {
    await start()
    const child = spawn('sleep', ['60'])
    await once(child, 'spawn')
    const source = { pid: child.pid!, startTicks: readStartTicks(child.pid!)! }
    const guest = { name: 'web', manager: 'libvirt' as const, process: source, census: undefined, scope: scopes.oldest }
    const { qemu, carried } = hosts.connect({ findGuest: async () => guest })
    await carried
    qemu.write(STREAM)
    await eventually(() => hosts.arrived[0]!.bytes().equals(STREAM))
    hosts.arrived[0]!.socket.end(SHUT)
    qemu.endpoint.end()
    await eventually(() => qemu.hasHeardEnd)
    assert.equal(hosts.results.length, 0)
    child.kill()
    await eventually(() => hosts.results.length === 1 && hosts.received.length === 1)
    assert.equal(hosts.results[0]!.status, 'completed')
    assert.equal(hosts.received[0]!.outcome?.status, 'completed')
    assert.deepEqual(hosts.managers, ['libvirt'])
    assert.equal(hosts.received[0]!.init.offer.manager, 'libvirt')
  })

  for (const [what, bytes] of [
    ['TLS', Buffer.from(`16030100ff${'ab'.repeat(3000)}`, 'hex')], ['random bytes', Buffer.concat(PAGES)],
  ] as const) {
    it(`passes ${what} as they are, both ways, half-closes as half-closes`, async () => {
      await start()
      const { qemu, carried } = hosts.connect()
      await carried
      qemu.write(bytes)
      const there = hosts.arrived[0]!
      await eventually(() => there.bytes().equals(bytes))
      qemu.endpoint.end()
      await eventually(() => there.hasEnded())
      assert.equal(qemu.hasHeardEnd, false)
      there.socket.write('late words')
      there.socket.end()
      await eventually(() => qemu.received.toString() === 'late words' && qemu.hasHeardEnd)
      await eventually(() => hosts.results.length === 1)
      const [{ code, pages, qemuBytes, rawBytes }] = hosts.results as [RelayResult]
      assert.deepEqual([code, pages.total, qemuBytes, rawBytes], ['not-understood', 0, bytes.length, bytes.length])
    })
  }

  it('dials for a connection that says nothing, and carries what the other side says first', async () => {
    await start()
    const { qemu, carried } = hosts.connect()
    await carried
    hosts.arrived[0]!.socket.write('NBDMAGIC')
    await eventually(() => qemu.received.toString() === 'NBDMAGIC')
    qemu.write(Buffer.from('IHAVEOPT'))
    await eventually(() => hosts.arrived[0]!.bytes().toString() === 'IHAVEOPT')
  })

  it('makes connections in their order, as one migration', async () => {
    await start()
    const { qemu: main, carried } = hosts.connect({ pid: 7 })
    main.write(STREAM)
    await carried
    const uuid = '00112233445566778899aabbccddeeff'
    let last = main
    for (let channel = 0; channel < 3; channel++) {
      const { qemu, carried: next } = hosts.connect({ pid: 7 })
      last = qemu
      qemu.write(Buffer.concat([Buffer.from(`1122334400000001${uuid}`, 'hex'), Buffer.alloc(40, channel)]))
      await next
    }
    await eventually(() => hosts.arrived.length === 4 && hosts.arrived.every(({ bytes }) => bytes().length >= 64))
    assert.deepEqual(hosts.arrived.map(({ bytes }) => bytes()[40]), [STREAM[40], 0, 1, 2])
    assert.equal(hosts.outgoing.running().length, 1)
    assert.equal(hosts.outgoing.running()[0]!.counts.length, 4)
    // One beside the main one that ends leaves room for the next.
    hosts.arrived[3]!.socket.end()
    last.endpoint.end()
    await eventually(() => last.isClosed && hosts.arrived[3]!.isClosed())
    await settle()
    const { qemu, carried: another } = hosts.connect({ pid: 7 })
    qemu.write(Buffer.concat([Buffer.from(`1122334400000001${uuid}`, 'hex'), Buffer.alloc(40, 4)]))
    await another
    assert.equal(hosts.outgoing.running().length, 1)
  })

  it('that is stopped at its source is over at both ends, and its connections are closed', async () => {
    await start()
    const { qemu, carried } = hosts.connect()
    await carried
    hosts.outgoing.stop()
    await eventually(() => qemu.hasHeardEnd || qemu.isClosed)
    await eventually(() => hosts.arrived.every(({ hasEnded, isClosed }) => hasEnded() || isClosed()))
    await eventually(() => hosts.incoming.running().length === 0)
  })

  it('of which one leg breaks closes the other soon', async () => {
    for (const breaks of ['source', 'destination', 'lanes'] as const) {
      const { qemu, there } = await startHalf()
      if (breaks === 'source') qemu.endpoint.destroy()
      else if (breaks === 'destination') there.socket.destroy()
      else hosts.network.cutLanes()
      if (breaks === 'destination') qemu.write(STREAM.subarray(9000))
      const isBroken = (): boolean => qemu.hasHeardEnd || qemu.isClosed
      await eventually(() => (breaks === 'source' || isBroken()) && (there.hasEnded() || there.isClosed()), 2000)
      there.socket.end()
      await eventually(() => hosts.results.length === 1)
      assert.notEqual(hosts.results[0]!.status, 'completed')
      await hosts.stop()
    }
    await start()
  })

  it('refuses what may not be dialled, and what nobody waits at; the connection is as it was', async () => {
    await start()
    for (const [path, code] of [['/run/other', 'not-allowed'], [`${hosts.path}2`, 'not-dialled']] as const) {
      const { qemu, carried } = hosts.connect({ address: { kind: 'unix', path } })
      qemu.write(STREAM)
      await assert.rejects(carried, { code })
      assert.equal(qemu.isClosed, false)
    }
    await assert.rejects(hosts.connect({ to: 'c' }).carried, { code: 'host-unknown' })
    assert.deepEqual(hosts.refused, ['not-allowed'])
    assert.deepEqual(hosts.arrived, [])
    await eventually(() => hosts.standing.a === 0 && hosts.standing.b === 0)
    assert.deepEqual(hosts.results, [])
  })

  it('follows no link on the way to a socket', async () => {
    await start()
    symlinkSync(hosts.path, join(hosts.directory, 'link'))
    symlinkSync(hosts.directory, join(hosts.directory, 'dir'))
    writeFileSync(join(hosts.directory, 'file'), '')
    for (const name of ['link', 'dir/q', 'file', 'none/q', 'file/q']) {
      const address = { kind: 'unix', path: join(hosts.directory, name) } as const
      await assert.rejects(hosts.connect({ address }).carried, { code: 'not-dialled' }, name)
    }
    assert.deepEqual(hosts.arrived, [])
  })

  it('that goes on with a post-copy knows what the connection before told', async () => {
    await startCut({ pages: PAGES, sources: [sourceWith(PAGES)] })
    const second = hosts.connect()
    const resume = Buffer.from('0800090000', 'hex')
    second.qemu.write(resume)
    await second.carried
    await eventually(() => hosts.arrived[1]!.bytes().equals(resume))
    await eventually(() => hosts.outgoing.running()[0]?.told.isPostcopy === true)
    assert.notEqual(hosts.outgoing.running()[0]!.init.continuation, undefined)
  })

  it('that begins anew after a post-copy was cut knows nothing of it', async () => {
    await startCut()
    const second = hosts.connect()
    second.qemu.write(STREAM)
    await second.carried
    assert.equal(hosts.outgoing.running()[0]!.init.continuation, undefined)
  })

  for (const [first, code] of [['destination', 'qemu-failed'], ['source', 'cancelled']] as const) {
    it(`that ends inside RAM, the ${first} first, is not mistaken for what it is not: ${code}`, async () => {
      const { qemu, there } = await startHalf()
      if (first === 'destination') there.socket.end()
      else qemu.endpoint.end()
      await eventually(() => (first === 'destination' ? qemu.hasHeardEnd : there.hasEnded()))
      qemu.endpoint.end()
      there.socket.end()
      await eventually(() => hosts.results.length === 1)
      assert.deepEqual([hosts.results[0]!.status, hosts.results[0]!.code], ['unknown', code])
    })
  }

  for (const unseen of ['its end', 'its reset'] as const) {
    it(`was cancelled at the source where the destination is lost before ${unseen} is read`, async () => {
      const { qemu, there } = await startHalf()
      if (unseen === 'its reset') {
        qemu.endpoint.pause()
        there.socket.write(Buffer.from('0002000400000001', 'hex'))
        await eventually(() => hosts.outgoing.running()[0]!.traffic.receivedBytes > 0)
        await settle(50)
      }
      // A manager ends the destination QEMU once the source has ended the migration.
      hosts.network.cutLanes()
      await settle()
      if (unseen === 'its end') qemu.endpoint.end()
      else qemu.endpoint.destroy()
      await eventually(() => hosts.results.length === 1)
      assert.equal(hosts.results[0]!.code, 'cancelled')
    })
  }

  it('that the source QEMU resets inside RAM was cancelled there', async () => {
    const { qemu, there } = await startHalf()
    qemu.endpoint.pause()
    there.socket.write(Buffer.from('0002000400000001', 'hex'))
    // What it leaves unread makes its end a reset.
    await eventually(() => hosts.outgoing.running()[0]!.traffic.receivedBytes > 0)
    await settle(50)
    qemu.endpoint.destroy()
    await eventually(() => hosts.results.length === 1)
    assert.equal(hosts.results[0]!.code, 'cancelled')
  })

  for (const [leaves, code] of [['unread bytes', 'qemu-failed'], ['nothing', 'no-return-path']] as const) {
    it(`that the destination QEMU ends after RAM's end is known by what it leaves: ${leaves}, ${code}`, async () => {
      await start()
      const { qemu, carried } = hosts.connect()
      await carried
      const there = hosts.arrived[0]!
      if (leaves === 'unread bytes') there.socket.pause()
      qemu.write(STREAM)
      await eventually(() => hosts.outgoing.running()[0]!.told.hasRamEnded)
      if (leaves === 'nothing') await eventually(() => there.bytes().equals(STREAM))
      there.socket.destroy()
      await eventually(() => qemu.isClosed || qemu.hasHeardEnd)
      qemu.endpoint.end()
      await eventually(() => hosts.results.length === 1)
      assert.equal(hosts.results[0]!.code, code)
    })
  }

  for (const [answer, code] of [[SHUT, 'not-ended'], [Buffer.alloc(0), 'postcopy-cut']] as const) {
    it(`that goes on with a post-copy is one where nothing is known of it, too: ${code}`, async () => {
      await start()
      const { qemu, carried } = hosts.connect()
      qemu.write(Buffer.concat([Buffer.from('08000a0000', 'hex'), PAGES[1]!]))
      await carried
      await eventually(() => hosts.arrived[0]!.bytes().length === 5 + PAGE_BYTES)
      hosts.arrived[0]!.socket.end(answer)
      qemu.endpoint.end()
      await eventually(() => hosts.results.length === 1)
      assert.deepEqual([hosts.results[0]!.mode, hosts.results[0]!.code], ['postcopy', code])
    })
  }
})
