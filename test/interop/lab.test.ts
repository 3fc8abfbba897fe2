import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  compareMemory, createNetwork, describeMeasure, ensureImage, measureGuests, migratePlain, missingForLab, startGuest,
  type GuestOptions, type LabGuest, type LabNetwork,
} from '../../testnet/index.ts'

/** Both guests boot while the machine is busy; the first run also builds the image. */
const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000

describe('the lab', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-lab-'))
  const guests: LabGuest[] = []
  let network: LabNetwork
  let web: LabGuest
  let database: LabGuest

  async function start(options: Omit<GuestOptions, 'directory'>, place: string): Promise<LabGuest> {
    const guest = await startGuest({ ...options, directory: join(directory, place), host: network.host(place) })
    guests.push(guest)
    return guest
  }

  /** Compares a migrated guest with what it left behind, then lets it run. */
  async function expectArrived(source: LabGuest, destination: LabGuest): Promise<void> {
    assert.deepEqual(await source.qmp.execute('query-status').then(statusOf), 'postmigrate')
    assert.deepEqual(await destination.qmp.execute('query-status').then(statusOf), 'paused')
    const comparison = await compareMemory(source, destination)
    assert.deepEqual(comparison.differences, [])
    assert.ok(comparison.comparedBytes >= 512 * 2 ** 20)
    const beatsBefore = source.beats()
    await destination.qmp.execute('cont')
    await destination.moreBeats(2)
    assert.ok(destination.beats() > beatsBefore)
  }

  before(async function () {
    const missing = await missingForLab()
    if (missing !== undefined) {
      console.log(`      skipped: this machine lacks ${missing}`)
      this.skip()
    }
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    network = await createNetwork({ hosts: ['a', 'b'], bytesPerSecond: 125e6 })
    web = await start({ name: 'web', work: 'web' }, 'a')
    database = await start({ name: 'database', work: 'database' }, 'b')
    await Promise.all([web.ready(), database.ready()])
  })

  after(async () => {
    for (const guest of guests) await guest.stop()
    await network?.close()
    rmSync(directory, { recursive: true, force: true })
  })

  it('boots guests that work and say so', async () => {
    await Promise.all([web.moreBeats(2), database.moreBeats(2)])
  })

  it('has guests that hold much in common, and much of their own', async () => {
    const measures = await measureGuests([web, database])
    for (const measure of measures) {
      console.log(`      ${describeMeasure(measure)}`)
      const nonZeroPages = measure.residentPages - measure.zeroPages
      const common = Object.values(measure.commonPages)[0]! / nonZeroPages
      assert.ok(common > 0.4 && common < 0.9, `${measure.name} has ${common} in common`)
      assert.ok(nonZeroPages > 40_000 && nonZeroPages < 90_000, `${measure.name} has ${nonZeroPages} non-zero pages`)
    }
  })

  it('sees that two guests differ', async () => {
    const comparison = await compareMemory(web, database)
    assert.equal(comparison.differences[0]?.block, 'pc.ram')
  })

  it('lets QEMU alone move a guest in pre-copy, memory equal byte for byte', async () => {
    const arrived = await start({ name: 'web', work: 'web', incoming: true, paused: true }, 'b')
    const result = await migratePlain({ source: web, destination: arrived, network, mode: 'precopy' })
    console.log(`      ${JSON.stringify(result)}`)
    await expectArrived(web, arrived)
    assert.ok(result.wireBytes! > 100e6 && result.wireBytes! > 0.95 * result.qemuBytes)
  })

  it('and in post-copy', async () => {
    const arrived = await start({ name: 'database', work: 'database', incoming: true, paused: true }, 'a')
    const result = await migratePlain({
      source: database, destination: arrived, network, mode: 'postcopy', passesBeforePostcopy: 0,
    })
    console.log(`      ${JSON.stringify(result)}`)
    await expectArrived(database, arrived)
  })
})

function statusOf(answer: unknown): string {
  return (answer as { status: string }).status
}
