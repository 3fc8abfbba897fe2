import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  compareMemory, createNetwork, describeMeasure, ensureImage, measureGuests, migratePlain, startGuest,
  type GuestOptions, type LabGuest, type LabNetwork,
} from '../../testnet/index.ts'
import { expectArrivedWhole, skipWithoutLab } from '../support/labmove.ts'

/** Both guests boot on a busy machine; the first run also builds the image. */
const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const LINK_BYTES_PER_SECOND = 125e6
/** How much memory the guest rewrites, MiB. */
const DIRTY_MIB = 16

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

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    network = await createNetwork({ hosts: ['a', 'b'], bytesPerSecond: LINK_BYTES_PER_SECOND })
    web = await start({ name: 'web', work: 'web' }, 'a')
    database = await start({ name: 'database', work: 'database' }, 'b')
    await Promise.all([web.ready(), database.ready()])
  })

  after(async () => {
    for (const guest of guests) await guest.stop()
    await network?.close()
    rmSync(directory, { recursive: true, force: true })
  })

  it('boots guests that work and report it', async () => {
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

  it('detects that two guests differ', async () => {
    const comparison = await compareMemory(web, database)
    assert.equal(comparison.differences[0]?.block, 'pc.ram')
  })

  it('lets QEMU alone move a guest in pre-copy, memory equal byte for byte', async () => {
    const arrived = await start({ name: 'web', work: 'web', incoming: true, paused: true }, 'b')
    const result = await migratePlain({ source: web, destination: arrived, network, mode: 'precopy' })
    console.log(`      ${JSON.stringify(result)}`)
    await expectArrivedWhole(web, arrived, 512)
    assert.ok(result.wireBytes! > 100e6 && result.wireBytes! > 0.95 * result.qemuBytes)
    assert.ok(result.totalMs > 900 * result.wireBytes! / LINK_BYTES_PER_SECOND, 'the link is no faster than asked for')
  })

  it('and in post-copy', async () => {
    const arrived = await start({ name: 'database', work: 'database', incoming: true, paused: true }, 'a')
    const result = await migratePlain({
      source: database, destination: arrived, network, mode: 'postcopy', passesBeforePostcopy: 0,
    })
    console.log(`      ${JSON.stringify(result)}`)
    await expectArrivedWhole(database, arrived, 512)
  })

  it('and in pre-copy again and again, while the guest writes all the time', async () => {
    const kind = { name: 'dirty', work: `dirty:${DIRTY_MIB}`, memoryMiB: 256 } as const
    let home = await start(kind, 'a')
    await home.ready()
    for (const place of ['b', 'a']) {
      const arrived = await start({ ...kind, incoming: true, paused: true }, place)
      // Long enough to send all that it rewrites, since otherwise its pre-copy would never end.
      await home.qmp.execute('migrate-set-parameters', { 'downtime-limit': 500 })
      await migratePlain({ source: home, destination: arrived, network, mode: 'precopy' })
      await expectArrivedWhole(home, arrived, kind.memoryMiB)
      await home.stop()
      home = arrived
    }
  })
})

describe('the lab\'s network', function () {
  this.timeout(60_000)
  let network: LabNetwork | undefined

  before(skipWithoutLab)

  afterEach(async () => {
    await network?.close()
    network = undefined
  })

  /** The result of a connection from one host to another's port 9, where nothing listens. */
  function knock(from: string, to: string): 'refused' | 'silence' {
    const { exec } = network!.host(from)
    const script = `exec 3<>/dev/tcp/${network!.host(to).address}/9`
    const { stderr } = spawnSync(exec[0]!, [...exec.slice(1), 'timeout', '2', 'bash', '-c', script])
    return stderr.toString().includes('refused') ? 'refused' : 'silence'
  }

  it('joins hosts, cuts one off in silence, and restores it', async () => {
    network = await createNetwork({ hosts: ['a', 'b'], bytesPerSecond: 125e6 })
    assert.equal(knock('a', 'b'), 'refused')
    await network.cut('b')
    assert.equal(knock('a', 'b'), 'silence')
    await network.restore('b')
    assert.equal(knock('a', 'b'), 'refused')
  })

  it('cuts hosts off that still reach each other', async () => {
    network = await createNetwork({ hosts: ['a', 'b', 'c'] })
    // Now a has c's address in its neighbour table: a lookup during the cut would give up only after it, and report
    // failure.
    assert.equal(knock('a', 'c'), 'refused')
    await network.cut('b', 'c')
    assert.equal(knock('b', 'c'), 'refused')
    assert.equal(knock('a', 'c'), 'silence')
    await network.restore('b', 'c')
    assert.equal(knock('a', 'c'), 'refused')
  })

  it('counts what a host sends', async () => {
    network = await createNetwork({ hosts: ['a', 'b'] })
    const before = await network.counters('a')
    knock('a', 'b')
    const after = await network.counters('a')
    assert.ok(after!.sentBytes > before!.sentBytes && after!.receivedBytes > before!.receivedBytes)
  })

  it('has two networks with the same addresses side by side', async () => {
    network = await createNetwork({ hosts: ['a', 'b'] })
    const other = await createNetwork({ hosts: ['a', 'b'] })
    await other.close()
    assert.equal(knock('a', 'b'), 'refused')
  })

  it('removes the leftovers of a run that was killed', async () => {
    const { pid: deadPid } = spawnSync('true')
    const leftover = `pm-${deadPid}-0-a`
    spawnSync('ip', ['netns', 'add', leftover])
    assert.ok(namespaces().includes(leftover))
    network = await createNetwork({ hosts: ['a'] })
    assert.ok(!namespaces().includes(leftover))
    await network.close()
    assert.ok(!namespaces().some((name) => name.startsWith(`pm-${process.pid}-`)))
  })

  it('refuses hosts that it cannot name', async () => {
    await assert.rejects(createNetwork({ hosts: ['a', 'a'] }), { code: 'lab-bad-host' })
    await assert.rejects(createNetwork({ hosts: ['a/b'] }), { code: 'lab-bad-host' })
  })
})

function namespaces(): string[] {
  return spawnSync('ip', ['netns', 'list']).stdout.toString().split('\n').map((line) => line.split(' ')[0] ?? '')
}
