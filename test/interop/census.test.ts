import { strict as assert } from 'node:assert'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createCensus, type Census } from '../../src/census/index.ts'
import { discoverGuests, type DiscoveredGuest, type GuestDiscovery, type GuestMemory } from '../../src/guest/index.ts'
import { PAGE_BYTES } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { missingForLab, type MemoryBackend } from '../../testnet/index.ts'
import { formatDisturbance, runDisturbance } from '../bench/disturbance.ts'
import { madeScopes } from '../support/madescopes.ts'
import { until } from '../support/qemuprocess.ts'
import { startCountingGuest, type CountingGuest } from './countingguest.ts'

const components = { clock: systemClock, log: silentLog }
const MEMORY_MIB = 256
/** Memory that QEMU itself may allocate to answer on its control socket, kB; none of it is its guest's. */
const CONTROL_KILOBYTES = 1024

/** A process' memory as the kernel counts it, kB. */
interface Footprint {
  rss: number
  anonymous: number
  /** Of the guest's RAM alone: of the mapping, and of the file behind it if there is one. */
  ramRss: number
  ramPss: number
  ramFile: number
}

describe('a census of a guest of a real QEMU', function () {
  this.timeout(240_000)
  let directory: string
  let discovery: GuestDiscovery
  let census: Census
  let qemu: CountingGuest | undefined

  before(async function () {
    const missing = await missingForLab()
    if (missing !== undefined) {
      this.test!.title += ` (skipped: no ${missing})`
      this.skip()
    }
  })

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pm-census-'))
    discovery = discoverGuests(components, { globs: [`${directory}/*.qmp`] })
    census = createCensus({ ...components, scopes: madeScopes() }, {
      pagesPerSecond: 400_000, intervalMs: 100, bytesMax: 2 ** 24,
    })
  })

  afterEach(async () => {
    await census.stop()
    await discovery.stop()
    await qemu?.stop()
    qemu = undefined
    rmSync(directory, { recursive: true, force: true })
  })

  for (const backend of ['anonymous', 'memfd'] satisfies MemoryBackend[]) {
    it(`does not make it grow in three scans: ${backend} memory`, async () => {
      qemu = await startCountingGuest({ name: 'g', directory, memoryMiB: MEMORY_MIB, filledMiB: 48, backend })
      await qemu.command('stop')
      await discovery.start()
      const guest = discovery.guests()[0]!
      const before = footprint(guest)
      assert.ok(before.ramRss > 48 * 1024, `${before.ramRss} kB of the guest's memory are resident`)
      assert.ok(before.ramRss < (MEMORY_MIB - 32) * 1024, `and much of it is not: ${before.ramRss} kB`)
      await census.start()
      census.add(guest)
      await until(() => (census.of('g')?.scans ?? 0) >= 3)
      const after = footprint(guest)
      assert.deepEqual(
        { ramRss: after.ramRss, ramPss: after.ramPss, ramFile: after.ramFile },
        { ramRss: before.ramRss, ramPss: before.ramPss, ramFile: before.ramFile },
      )
      // Not shared memory: the shares of QEMU's own code grow whenever another QEMU ends.
      for (const figure of ['rss', 'anonymous'] as const) {
        const growth = after[figure] - before[figure]
        assert.ok(growth < CONTROL_KILOBYTES, `${figure} grew by ${growth} kB from ${before[figure]} kB`)
      }
      const { residentPages, distinctPages, table, ...own } = census.of('g')!
      assert.ok(residentPages >= before.ramRss / 4, 'everything that is resident was read')
      assert.ok(distinctPages > 48 * 256)
      // A paused guest changes nothing: all its pages are stable.
      for (let index = 0; index < table.size; index++) assert.ok(census.of('g')!.isStable(index))
      assert.ok(own.isCompared)
      // The measurement is sensitive enough: after one hole is read, the file has a page more.
      if (backend === 'memfd') {
        await readHole(guest.memory)
        assert.equal(footprint(guest).ramFile - after.ramFile, PAGE_BYTES / 1024)
      }
    })
  }

  it('can be measured by the work that the guest does meanwhile', async () => {
    const outcome = await runDisturbance({ rounds: 2, watchMs: 300 })
    for (const { min } of [outcome.ratio, outcome.cpuRatio]) assert.ok(min > 0)
    assert.ok(outcome.residentPages > 128 * 256)
    assert.match(formatDisturbance(outcome), /slow-down +-?\d+\.\d %/)
  })
})

async function readHole(memory: GuestMemory): Promise<void> {
  const block = memory.blocks.findIndex(({ name }) => name === 'pc.ram')
  const resident = new Uint8Array(memory.blocks[block]!.bytes / PAGE_BYTES)
  await memory.resident(block, 0, resident.length, resident)
  await memory.read(block, resident.indexOf(0), 1, Buffer.alloc(PAGE_BYTES))
}

function footprint({ pid, memory }: DiscoveredGuest): Footprint {
  const whole = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const block = memory.layout!.blocks.find(({ name }) => name === 'pc.ram')!
  const start = block.address.toString(16).padStart(8, '0')
  const mappings = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  const mapping = mappings.find((text) => text.startsWith(`${start}-`))
  assert.ok(mapping, `the guest's memory is mapped at ${start}`)
  return {
    rss: figureOf(whole, 'Rss'), anonymous: figureOf(whole, 'Anonymous'),
    ramRss: figureOf(mapping, 'Rss'), ramPss: figureOf(mapping, 'Pss'), ramFile: memfdKilobytes(pid),
  }
}

function figureOf(text: string, name: string): number {
  return Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(text)![1])
}

/** Allocated memory of a process' memfds, kB: a touched hole shows here. */
function memfdKilobytes(pid: number): number {
  let blocks = 0
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const { nlink, blocks: own } = statSync(`/proc/${pid}/fd/${fd}`)
    if (nlink === 0) blocks += own
  }
  return blocks / 2
}
