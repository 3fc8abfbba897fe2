import assert from 'node:assert/strict'

import { PAGE_BYTES, type ListedPages } from '../../../src/page/index.ts'
import { sortedTable } from '../page/sortedtables.ts'
import { idOf, page, sourceWith } from '../passage/made.ts'
import { precopyStream } from '../qemu/streambuilder.ts'
import { eventually, Hosts, type HostsOptions } from './hosts.ts'

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

  afterEach(async () => hosts.stop())

  it('carries a migration byte for byte, with references to what the destination has', async () => {
    await start({ pages: PAGES, sources: [sourceWith(PAGES)] })
    const census = { table: tableOf(PAGES), numberAt: (index: number) => index }
    const { qemu, carried } = hosts.connect({ findGuest: async () => ({ name: 'web', process: undefined, census }) })
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
    assert.deepEqual([result!.status, result!.code], ['unknown', 'not-ended'])
    assert.deepEqual(hosts.received[0]!.ending?.code, 'not-ended')
    assert.deepEqual(hosts.standing, { a: 0, b: 0 })
  })
})
