import assert from 'node:assert/strict'

import { readStartTicks } from '../../../src/guest/index.ts'
import { page } from '../../support/madepages.ts'
import { settle } from '../../support/passagerelay.ts'
import { precopyStream } from '../../support/streambuilder.ts'
import { Hosts, scopes } from './hosts.ts'

const PAGES = Array.from({ length: 16 }, (_, number) => page(number))
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: PAGES }]).bytes)
const INSIDE_RAM = STREAM.subarray(0, 9000)
/** A source QEMU that lives: this process. */
const LIVES = { pid: process.pid, startTicks: readStartTicks(process.pid)! }

describe('a migration that is not carried', () => {
  let hosts: Hosts

  beforeEach(async () => { hosts = await new Hosts().start() })
  afterEach(async () => hosts.stop())

  /** It is refused: nobody waits where it wants to go. Resolves with its record: status and code. */
  async function refused(
    bytes: Buffer, { isKnown = true, otherwise = 'closed', ends = 'no' }: {
      isKnown?: boolean; otherwise?: 'closed' | 'direct'; ends?: 'no' | 'end' | 'reset'
    } = {},
  ): Promise<(string | undefined)[] | undefined> {
    const { qemu, carried } = hosts.connect({
      address: { kind: 'unix', path: `${hosts.path}2` }, otherwise,
      findGuest: async () => ({
        name: 'web', manager: 'libvirt', process: isKnown ? LIVES : undefined, census: undefined, scope: scopes.oldest,
      }),
    })
    qemu.write(bytes)
    if (ends === 'end') qemu.endpoint.end()
    else if (ends === 'reset') qemu.endpoint.destroy()
    await assert.rejects(carried, { code: 'not-dialled' })
    await settle()
    assert.deepEqual(hosts.outgoing.running(), [])
    const [result] = hosts.results
    if (result === undefined) return undefined
    assert.deepEqual([result.guest, result.to, result.qemuBytes, hosts.managers], ['web', 'b', 0, ['libvirt']])
    assert.ok(result.reason!.length > 0)
    return [result.status, result.code]
  }

  for (const ends of ['end', 'reset'] as const) {
    it(`was cancelled where its source QEMU had ended it: ${ends}`, async () => {
      assert.deepEqual(await refused(INSIDE_RAM, { ends }), ['cancelled', 'cancelled'])
    })
  }

  it('has failed where its source QEMU goes on', async () => {
    assert.deepEqual(await refused(INSIDE_RAM), ['failed', 'not-dialled'])
    assert.match(hosts.results[0]!.reason!, /^It was not carried: b: nothing .* The source QEMU lives\.$/)
  })

  it('has failed, and was not cancelled, where its source QEMU had sent everything', async () => {
    assert.deepEqual(await refused(STREAM, { ends: 'end' }), ['failed', 'not-dialled'])
  })

  it('is of unknown outcome where nobody knows of its source QEMU', async () => {
    assert.deepEqual(await refused(INSIDE_RAM, { isKnown: false }), ['unknown', 'not-dialled'])
  })

  it('is of unknown outcome there even if it was cancelled', async () => {
    assert.deepEqual(await refused(INSIDE_RAM, { isKnown: false, ends: 'end' }), ['unknown', 'cancelled'])
  })

  it('is told by nobody where it goes direct', async () => {
    assert.equal(await refused(INSIDE_RAM, { otherwise: 'direct', ends: 'end' }), undefined)
  })

  it('is told by nobody where it is none', async () => {
    assert.equal(await refused(Buffer.from('GET / HTTP/1.1'), { ends: 'end' }), undefined)
  })
})
