import { strict as assert } from 'node:assert'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { createCensus } from '../../src/census/index.ts'
import {
  connectQmp, discoverGuests, openProcessMemory, type DiscoveredGuest, type GuestDiscovery, type GuestMemory,
} from '../../src/guest/index.ts'
import { createPageHasher, PAGE_BYTES, PageBatch, verified } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { madeScopes } from '../support/madescopes.ts'
import { skipWithoutQemu, startQemu, until, type Qemu } from '../support/qemuprocess.ts'

const clock = systemClock
const log = silentLog
const MEBIBYTE = 1024 * 1024
const RAM_BYTES = 64 * MEBIBYTE

describe('guests of a real QEMU', function () {
  this.timeout(180_000)
  let directory: string
  const running: Qemu[] = []
  let discovery: GuestDiscovery

  before(skipWithoutQemu)

  beforeEach(() => {
    directory = mkdtempSync('/tmp/guest-test-')
    discovery = discoverGuests({ clock, log }, { globs: [`${directory}/*.qmp`] })
  })

  afterEach(async () => {
    await discovery.stop()
    await Promise.all(running.splice(0).map((qemu) => qemu.kill()))
    rmSync(directory, { recursive: true, force: true })
  })

  async function boot(name: string, ...args: string[]): Promise<Qemu> {
    const qemu = await startQemu(directory, name, ['-m', '64', ...args])
    running.push(qemu)
    return qemu
  }

  function found(name: string): DiscoveredGuest {
    const guest = discovery.guests().find((candidate) => candidate.name === name)
    assert.ok(guest, `${name} is found`)
    return guest
  }

  it('finds a guest with its process and all of its memory, and closes its socket', async () => {
    const qemu = await boot('a', '-name', 'first')
    await discovery.start()
    const guest = found('first')
    assert.equal(guest.pid, qemu.pid)
    assert.equal(guest.lastState, 'running')
    const names = guest.memory.blocks.map((block) => block.name)
    for (const expected of ['pc.ram', 'pc.bios', 'pc.rom', '/rom@etc/acpi/tables', '/rom@etc/table-loader']) {
      assert.ok(names.includes(expected), `${expected} is among ${names.join(', ')}`)
    }
    const qmp = await connectQmp(qemu.socket, { clock, log, timeoutMs: 1_000 })
    await qmp.close()
    assert.equal(await guest.state(), 'running')
  })

  it('finds out which guests share nothing', async () => {
    await boot('merging')
    await boot('apart', '-machine', 'pc,mem-merge=off')
    await discovery.start()
    assert.deepEqual([found('merging').isPrivate, found('apart').isPrivate], [false, true])
  })

  it('finds a guest whose socket path is relative to its own directory', async () => {
    const qemu = await boot('r', '-name', 'relative', '-qmp', 'unix:./other.qmp,server=on,wait=off')
    await until(() => existsSync(join(directory, 'other.qmp')))
    const narrow = discoverGuests({ clock, log }, { globs: [`${directory}/oth*.qmp`] })
    await narrow.start()
    assert.deepEqual(narrow.guests().map((guest) => guest.pid), [qemu.pid])
    await narrow.stop()
  })

  const backends: Record<string, string[]> = {
    'anonymous memory': [],
    memfd: ['-object', 'memory-backend-memfd,id=ram0,size=64M', '-machine', 'memory-backend=ram0'],
    'a shared file': [
      '-object', 'memory-backend-file,id=ram0,size=64M,share=on,mem-path=ram', '-machine', 'memory-backend=ram0'],
    'a private file': [
      '-object', 'memory-backend-file,id=ram0,size=64M,share=off,mem-path=ram', '-machine', 'memory-backend=ram0'],
  }
  for (const [backend, args] of Object.entries(backends)) {
    it(`reads what QEMU itself reads, from ${backend}, without making it grow`, async () => {
      const qemu = await boot('b', ...args)
      await discovery.start()
      const guest = found('b')
      await qemu.untilBooted()
      await qemu.command('stop')
      const path = join(directory, 'dump')
      const before = residentKilobytes(qemu.pid)
      const read = await readResident(guest.memory, 0)
      assert.ok(residentKilobytes(qemu.pid) - before < 512, 'the guest did not grow')
      await qemu.command('pmemsave', { val: 0, size: RAM_BYTES, filename: path })
      const dump = readFileSync(path)
      // The BIOS and its shadow copies are below 1 MiB, where QEMU may map ROM over RAM; all else is plain.
      assert.ok(read.equals(dump), 'every page is the same; absent ones are zero')
    })
  }

  it('takes a census of a guest and finds its pages again', async () => {
    const qemu = await boot('c')
    await qemu.untilBooted()
    await qemu.command('stop')
    await discovery.start()
    const pageKey = new Uint8Array(32).fill(7)
    const census = createCensus({ clock, log, scopes: madeScopes(pageKey) }, {
      pagesPerSecond: 200_000, intervalMs: 60_000, bytesMax: 64 * MEBIBYTE,
    })
    const before = residentKilobytes(qemu.pid)
    await census.start()
    census.add(found('c'))
    await until(() => census.settled)
    assert.ok(residentKilobytes(qemu.pid) - before < 512, 'the guest did not grow')
    const own = census.of('c')!
    assert.ok(own.distinctPages > 20, `${own.distinctPages} distinct pages`)
    assert.equal(own.table.size, own.distinctPages)

    const hasher = createPageHasher(pageKey)
    const page = (await readResident(found('c').memory, 0)).subarray(0xf0000, 0xf0000 + PAGE_BYTES)
    const batch = new PageBatch(new Uint8Array(16))
    hasher.hashPages(page, 0, 1, batch.ids, 0)
    await verified(census.resident, hasher).fill(batch, AbortSignal.timeout(5_000))
    assert.equal(batch.filledBy(0), 'resident')
    assert.ok(batch.bytes.equals(page))
    await census.stop()
  })

  it('handles the death of a QEMU as an ordinary event', async () => {
    const qemu = await boot('d')
    await discovery.start()
    const { memory } = found('d')
    const own = openProcessMemory(memory.layout!)
    const events: string[] = []
    discovery.onChange((change, guest) => events.push(`${change} ${guest.name}`))
    await qemu.kill()
    await assert.rejects(own.read(0, 0, 1, Buffer.alloc(PAGE_BYTES)), isGone)
    await assert.rejects(own.resident(0, 0, 1, new Uint8Array(1)), isGone)
    assert.throws(() => openProcessMemory(memory.layout!), isGone)
    await discovery.refresh()
    assert.deepEqual(events, ['removed d'])
    const again = await boot('d')
    await discovery.refresh()
    assert.deepEqual(events, ['removed d', 'added d'])
    assert.equal(found('d').pid, again.pid)
    await own.close()
  })

  it('refuses a second guest of the same name until the first is gone', async () => {
    const first = await boot('e', '-name', 'twin')
    const second = await boot('f', '-name', 'twin')
    await discovery.start()
    assert.equal(discovery.guests().length, 1)
    const kept = found('twin').pid
    await (kept === first.pid ? first : second).kill()
    await discovery.refresh()
    await discovery.refresh()
    assert.equal(found('twin').pid, kept === first.pid ? second.pid : first.pid)
  })
})

/** A whole block, with zeros where nothing is resident. */
async function readResident(memory: GuestMemory, block: number): Promise<Buffer> {
  const pageCount = memory.blocks[block]!.bytes / PAGE_BYTES
  const resident = new Uint8Array(pageCount)
  await memory.resident(block, 0, pageCount, resident)
  const bytes = Buffer.alloc(pageCount * PAGE_BYTES)
  for (let page = 0; page < pageCount; page++) {
    if (resident[page] === 0) continue
    await memory.read(block, page, 1, bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES))
  }
  return bytes
}

/** Resident memory of a process, kB: its own, of files and shared. */
function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

function hasCode(error: unknown, code: string): error is PagemeshError {
  assert.ok(error instanceof PagemeshError, String(error))
  assert.equal(error.code, code)
  return true
}

function isGone(error: unknown): boolean {
  return hasCode(error, 'guest-gone')
}
