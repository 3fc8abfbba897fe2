import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  connectQmp, discoverAll, findLayout, readStartTicks, type DiscoveredGuest, type GuestDiscovery,
} from '../../src/guest/index.ts'
import { PAGE_BYTES } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../src/runtime/log.ts'
import { skipWithoutQemu, startQemu, until, type Qemu } from '../support/qemuprocess.ts'

const MIB = 2 ** 20
/** Unique on this machine. */
const NAME = `web-of-${process.pid}`

/** Guests that are found by process, without contact to their QEMUs. Other tests' QEMUs may run at the same time. */
describe('a managed guest of a real QEMU', function () {
  this.timeout(120_000)
  let directory: string
  let discovery: GuestDiscovery
  let qemus: Qemu[]
  let warnings: string[]
  let events: string[]

  before(skipWithoutQemu)

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pm-managed-'))
    qemus = []
    warnings = []
    events = []
    const warn: Log['warn'] = (message, fields) => { warnings.push(`${message}: ${String(fields?.['name'])}`) }
    const log: Log = { ...silentLog, warn }
    discovery = discoverAll({ clock: systemClock, log }, { globs: [`${directory}/own-*.qmp`], managed: 'any' })
    discovery.onChange((change, { pid, name, driver }) => {
      if (qemus.some((qemu) => qemu.pid === pid)) events.push(`${change} ${name} ${driver}`)
    })
  })

  afterEach(async () => {
    await discovery.stop()
    await Promise.all(qemus.map((qemu) => qemu.kill()))
    rmSync(directory, { recursive: true })
  })

  async function start(file: string, ...words: string[]): Promise<Qemu> {
    const qemu = await startQemu(directory, file, words)
    qemus.push(qemu)
    return qemu
  }

  function guestOf(qemu: Qemu): DiscoveredGuest | undefined {
    return discovery.guests().find(({ pid }) => pid === qemu.pid)
  }

  /** Where QEMU itself reports its blocks of at least 32 MiB. */
  async function askedBlocks(qemu: Qemu): Promise<string[]> {
    const qmp = await connectQmp(qemu.socket, { clock: systemClock, log: silentLog })
    try {
      const { layout } = await findLayout('asked', qmp, { pid: qemu.pid, startTicks: readStartTicks(qemu.pid)! })
      return layout.blocks.filter(({ bytes }) => bytes >= 32 * MIB)
        .map(({ address, bytes }) => `${address}+${bytes}`).sort()
    } finally {
      await qmp.close()
    }
  }

  function seenBlocks(qemu: Qemu): string[] {
    return guestOf(qemu)!.memory.layout!.blocks.map(({ address, bytes }) => `${address}+${bytes}`).sort()
  }

  const MEMORIES: Record<string, readonly string[]> = {
    'anonymous memory': ['-m', '40'],
    'a size that is no multiple of 1 MiB': ['-m', '40952K'],
    'a private memfd': [
      '-m', '40', '-machine', 'pc,memory-backend=ram', '-object', 'memory-backend-memfd,id=ram,size=40M,share=off',
    ],
    'a shared memfd': [
      '-m', '40', '-machine', 'pc,memory-backend=ram', '-object',
      '{"qom-type":"memory-backend-memfd","id":"ram","size":41943040,"share":true}',
    ],
    'a file': [
      '-m', '40', '-machine', 'pc,memory-backend=ram', '-object',
      'memory-backend-file,id=ram,size=40M,mem-path=ram.file,share=on',
    ],
    'two cells': [
      '-m', '80', '-object', 'memory-backend-ram,id=a,size=40M', '-numa', 'node,memdev=a',
      '-object', 'memory-backend-memfd,id=b,size=40M', '-numa', 'node,memdev=b',
    ],
  }
  for (const [what, words] of Object.entries(MEMORIES)) {
    it(`is found with ${what}, where QEMU says it lies`, async () => {
      const qemu = await start('one', '-name', 'guest=web,,1,debug-threads=on', ...words)
      await qemu.untilBooted()
      await discovery.start()
      const guest = guestOf(qemu)!
      assert.deepEqual([guest.name, guest.driver, guest.lastState], ['web,1', 'managed', 'unknown'])
      assert.deepEqual(seenBlocks(qemu), await askedBlocks(qemu))
      // The BIOS is below 1 MiB: not all of the guest's first pages are zeros.
      const resident = new Uint8Array(256)
      const contents = Buffer.alloc(PAGE_BYTES)
      let isBooted = false
      for (const block of guest.memory.blocks.keys()) {
        await guest.memory.resident(block, 0, 256, resident)
        for (const [page, isThere] of resident.entries()) {
          if (isThere !== 1) continue
          await guest.memory.read(block, page, 1, contents)
          isBooted ||= contents.some((byte) => byte !== 0)
        }
      }
      assert.ok(isBooted)
    })
  }

  it('goes and comes back when memory is plugged in, and stays at a reboot', async () => {
    const qemu = await start('one', '-name', NAME, '-m', '40,slots=2,maxmem=512M')
    await discovery.start()
    await qemu.command('system_reset')
    await discovery.refresh()
    assert.deepEqual(events, [`added ${NAME} managed`])
    await qemu.command('object-add', { 'qom-type': 'memory-backend-ram', id: 'more', size: 128 * MIB })
    await qemu.command('device_add', { driver: 'pc-dimm', id: 'dimm', memdev: 'more' })
    await discovery.refresh()
    assert.deepEqual(events, [`added ${NAME} managed`, `removed ${NAME} managed`, `added ${NAME} managed`])
    assert.deepEqual(guestOf(qemu)!.memory.blocks.map(({ bytes }) => bytes / MIB).sort((a, b) => a - b), [40, 128])
    await discovery.refresh()
    assert.equal(events.length, 3)
  })

  it('is not found before its first instruction ran here', async () => {
    const source = await start('a', '-name', `${NAME},debug-threads=on`, '-m', '40')
    const target = await start('b', '-name', `${NAME},debug-threads=on`, '-m', '40', '-incoming', 'defer')
    await source.untilBooted()
    await discovery.start()
    assert.equal(await guestOf(target)!.state(), 'inmigrate')
    const uri = `unix:${directory}/m`
    await target.command('migrate-incoming', { uri })
    await source.command('migrate', { uri })
    await until(async () => (await target.command('query-status') as { status: string }).status === 'running')
    // A halted processor shows nothing: reboot it.
    await target.command('system_reset')
    await until(async () => await guestOf(target)!.state() === 'unknown')
  })

  it('gets a unique name if two have the same, the eldest the plain one', async () => {
    const eldest = await start('a', '-name', NAME, '-m', '40')
    const other = await start('b', '-name', NAME, '-m', '40')
    await discovery.start()
    await discovery.refresh()
    assert.deepEqual([guestOf(eldest)?.name, guestOf(other)?.name], [NAME, `${NAME}-${other.pid}`])
    assert.deepEqual(warnings.filter((said) => said === `two guests of this host have one name: ${NAME}`).length, 1)
    await eldest.kill()
    await discovery.refresh()
    assert.equal(guestOf(eldest), undefined)
    assert.equal(guestOf(other)!.name, `${NAME}-${other.pid}`)
  })

  it('is the one with the QMP socket if both ways find it', async () => {
    const qemu = await start('other', '-name', NAME, '-m', '40')
    await discovery.start()
    assert.deepEqual(events, [`added ${NAME} managed`])
    const own = await start('own-1', '-name', NAME, '-m', '40')
    await discovery.refresh()
    assert.deepEqual([guestOf(own)?.name, guestOf(own)?.driver], [NAME, 'qmp'])
    assert.deepEqual([guestOf(qemu)?.name, guestOf(qemu)?.driver], [`${NAME}-${qemu.pid}`, 'managed'])
    assert.equal(discovery.guests().filter(({ pid }) => pid === own.pid).length, 1)
    assert.equal(new Set(discovery.guests().map(({ name }) => name)).size, discovery.guests().length)
    assert.deepEqual(events, [
      `added ${NAME} managed`, `removed ${NAME} managed`, `added ${NAME} qmp`, `added ${NAME}-${qemu.pid} managed`,
    ])
  })

  it('shares nothing if its memory must not be merged', async () => {
    const qemu = await start('one', '-name', NAME, '-m', '40', '-machine', 'pc,mem-merge=off')
    await discovery.start()
    assert.equal(guestOf(qemu)!.isPrivate, true)
  })
})
