import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor, type LabGuest, type QemuRelease } from '../../testnet/index.ts'
import { countOf, moveToStandstill } from '../support/labmove.ts'
import { journey } from './journey.ts'

const TEST_TIMEOUT_MS = 240_000
const SETTINGS_MS_MAX = 10_000
const LINK_BYTES_PER_SECOND = 125e6
const GUEST = { name: 'many', work: 'idle', memoryMiB: 256 } as const
const CAPABILITIES = ['multifd', 'postcopy-preempt', 'xbzrle']
const RELEASES: readonly QemuRelease[] = ['system', 'next']
const PARAMETERS = ['multifd-channels', 'multifd-compression']

for (const qemu of RELEASES) describe(`a handoff over several channels (${qemu} QEMU)`, function () {
  this.timeout(TEST_TIMEOUT_MS)
  const made = journey({ kind: GUEST, bytesPerSecond: LINK_BYTES_PER_SECOND, first: { qemu } })

  /** Moves the guest to the other host; resolves to the number of connections. */
  function moveOver(mode: 'precopy' | 'postcopy', ...words: string[]): Promise<number> {
    return made.step({ qemu }, async ({ cluster, from, to, source, destination }) => {
      const before = [await settingsOf(source), await settingsOf(destination)]
      const result = await moveToStandstill(cluster, { guest: source, from, to, mode, words })
      const { pages, rawBytes, qemuBytes } = result
      assert.equal(pages.total, pages.zero + pages.ref + pages.literal)
      assert.equal(qemuBytes, rawBytes + (pages.ref + pages.literal) * 4096)
      // QEMU 7.2 does not count the pages that it writes to multifd channels.
      assert.equal(pages.zero, (await countOf(source)).zeroPages)
      assert.ok(pages.ref > 0, 'pages became references')
      // QEMU takes them once its channels' threads have ended; the destination's agent does so in time of its own.
      let after: unknown
      await waitFor(async () => {
        after = [await settingsOf(source), await settingsOf(destination)]
        return isDeepStrictEqual(after, before) || undefined
      }, { clock: systemClock, what: 'the settings to be put back', timeoutMs: SETTINGS_MS_MAX }).catch(() => {
        assert.deepEqual(after, before)
      })
      return result.channels
    })
  }

  for (const count of [2, 4, 8]) {
    it(`of multifd, ${count} beside the main one: memory equal, settings put back`, async () => {
      assert.equal(await moveOver('precopy', '--channels', String(count)), 1 + count)
    })
  }

  it('of multifd that its operator switched on', async () => {
    await setCapability(made.home, 'multifd')
    assert.equal(await moveOver('precopy'), 1 + 2)
  })

  it('uses one channel if asked to', async () => {
    await setCapability(made.home, 'multifd')
    assert.equal(await moveOver('precopy', '--channels', '1'), 1)
  })

  it('of a post-copy with one for urgent pages', async () => {
    await setCapability(made.home, 'postcopy-ram')
    await setCapability(made.home, 'postcopy-preempt')
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
