import assert from 'node:assert/strict'

import { createCluster, ensureImage, type LabCluster, type LabGuest, type QemuRelease } from '../../testnet/index.ts'
import {
  countOf, expectArrivedWhole, moveToStandstill, skipWithoutLab, type GuestKind,
} from '../interop/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const LINK_BYTES_PER_SECOND = 125e6
const GUEST: GuestKind = { name: 'many', work: 'idle', memoryMiB: 256 }
const CAPABILITIES = ['multifd', 'postcopy-preempt', 'xbzrle']
const RELEASES: readonly QemuRelease[] = ['system', 'next']
const PARAMETERS = ['multifd-channels', 'multifd-compression']

for (const release of RELEASES) describe(`a handoff over several channels (${release} QEMU)`, function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined
  /** Where the guest lives now. */
  let home: LabGuest
  let host = 'a'
  /** A move went wrong: nobody knows where the guest is. */
  let isLost = false
  const started: LabGuest[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: ['a', 'b'], bytesPerSecond: LINK_BYTES_PER_SECOND })
    home = await start('a', false)
    await home.ready()
    await cluster.settled()
  })

  beforeEach(function () {
    if (isLost) this.skip()
    isLost = true
  })

  after(async () => {
    for (const guest of started) await guest.stop()
    await cluster?.close()
  })

  async function start(where: string, incoming: boolean): Promise<LabGuest> {
    const guest = await cluster!.startGuest(where, { ...GUEST, incoming, qemu: release })
    started.push(guest)
    return guest
  }

  /** Moves the guest to the other host and compares; resolves to how many connections were carried. */
  async function moveOver(mode: 'precopy' | 'postcopy', ...words: string[]): Promise<number> {
    const [from, to] = host === 'a' ? ['a', 'b'] as const : ['b', 'a'] as const
    const destination = await start(to, true)
    const before = [await settingsOf(home), await settingsOf(destination)]
    const result = await moveToStandstill(cluster!, { from, to, source: home }, { mode }, ...words)
    const { pages, rawBytes, qemuBytes } = result
    assert.equal(pages.total, pages.zero + pages.ref + pages.literal)
    assert.equal(qemuBytes, rawBytes + (pages.ref + pages.literal) * 4096)
    // QEMU's own count of other pages is not what it writes to multifd channels (7.2).
    assert.equal(pages.zero, (await countOf(home)).zeroPages)
    assert.ok(pages.ref > 0, 'pages became references')
    assert.deepEqual([await settingsOf(home), await settingsOf(destination)], before)
    await expectArrivedWhole(home, destination, GUEST.memoryMiB!)
    await home.stop()
    home = destination
    host = to
    isLost = false
    return result.channels
  }

  for (const count of [2, 4, 8]) {
    it(`of multifd, ${count} beside the main one: memory equal, settings put back`, async () => {
      assert.equal(await moveOver('precopy', '--channels', String(count)), 1 + count)
    })
  }

  it('of multifd that its operator switched on', async () => {
    await setCapability(home, 'multifd')
    assert.equal(await moveOver('precopy'), 1 + 2)
  })

  it('goes over one if that is asked for', async () => {
    await setCapability(home, 'multifd')
    assert.equal(await moveOver('precopy', '--channels', '1'), 1)
  })

  it('of a post-copy with one for urgent pages', async () => {
    await setCapability(home, 'postcopy-ram')
    await setCapability(home, 'postcopy-preempt')
    assert.equal(await moveOver('postcopy'), 2)
  })
})

async function setCapability(guest: LabGuest, capability: string): Promise<void> {
  await guest.qmp.execute('migrate-set-capabilities', { capabilities: [{ capability, state: true }] })
}

async function settingsOf(guest: LabGuest): Promise<unknown[]> {
  const capabilities = await guest.qmp.execute('query-migrate-capabilities') as { capability: string, state: boolean }[]
  const parameters = await guest.qmp.execute('query-migrate-parameters') as Record<string, unknown>
  return [
    ...capabilities.filter(({ capability }) => CAPABILITIES.includes(capability)),
    ...PARAMETERS.map((name) => parameters[name]),
  ]
}
