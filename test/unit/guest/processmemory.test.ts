import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

import { openProcessMemory, readStartTicks, type ProcessMemoryLayout } from '../../../src/guest/index.ts'
import { parseMaps } from '../../../src/guest/maps.ts'
import { markResident } from '../../../src/guest/pagemap.ts'
import { PAGE_BYTES } from '../../../src/page/index.ts'
import { nextTurn } from '../../../src/runtime/turn.ts'

const startTicks = readStartTicks(process.pid)!

/** The first pages of this process' code play a guest. */
const mappings = parseMaps(readFileSync('/proc/self/maps', 'utf8'))
const code = mappings.filter(({ permissions }) => permissions === 'r-xp')
  .reduce((best, other) => (other.end - other.start > best.end - best.start ? other : best))
const pageCount = Math.min(100, Number(code.end - code.start) / PAGE_BYTES)

function layoutOf(about: Partial<ProcessMemoryLayout> = {}): ProcessMemoryLayout {
  const half = Math.floor(pageCount / 2) * PAGE_BYTES
  const blocks = [
    { name: 'one', bytes: half, address: code.start },
    { name: 'two', bytes: half, address: code.start + BigInt(half) },
  ]
  return { guest: 'self', pid: process.pid, startTicks, blocks, ...about }
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length
}

describe('entries of a pagemap', () => {
  const PRESENT = 1n << 63n
  const SWAPPED = 1n << 62n
  const SHARED_FILE = 1n << 61n
  const SOFT_DIRTY = 1n << 55n

  it('are present only where the page is in memory, not where it was swapped out', () => {
    const entries = [
      PRESENT | 0x1234n, SWAPPED | 0x1234n, 0n, PRESENT | SHARED_FILE | SOFT_DIRTY, SHARED_FILE, PRESENT | SWAPPED,
      0x007f_ffff_ffff_ffffn, PRESENT,
    ]
    const bytes = Buffer.alloc(entries.length * 8)
    entries.forEach((entry, index) => bytes.writeBigUInt64LE(entry, index * 8))
    const into = new Uint8Array(entries.length + 2).fill(9)
    markResident(bytes, entries.length, into, 1)
    assert.deepEqual([...into], [9, 1, 0, 0, 1, 0, 0, 0, 1, 9])
    markResident(bytes, 1, into, 0)
    assert.deepEqual([...into.subarray(0, 3)], [1, 1, 0])
  })
})

describe('the memory of a process', () => {
  it('is read as it is, each block from its own address', async () => {
    const memory = openProcessMemory(layoutOf())
    const { bytes } = memory.blocks[0]!
    const pages = bytes / PAGE_BYTES
    const one = Buffer.alloc(bytes)
    const two = Buffer.alloc(bytes)
    await memory.read(0, 0, pages, one)
    await memory.read(1, 0, pages, two)
    const again = Buffer.alloc(3 * PAGE_BYTES, 0xee)
    await memory.read(1, 2, 2, again)
    assert.deepEqual(again.subarray(0, 2 * PAGE_BYTES), two.subarray(2 * PAGE_BYTES, 4 * PAGE_BYTES))
    assert.ok(again.subarray(2 * PAGE_BYTES).every((byte) => byte === 0xee), 'no more than was asked for')
    assert.notDeepEqual(one, two)
    assert.deepEqual(memory.blocks, [{ name: 'one', bytes }, { name: 'two', bytes }])
    assert.equal(memory.name, 'self')
    const resident = new Uint8Array(pages + 1).fill(9)
    await memory.resident(0, 0, pages, resident)
    assert.ok(resident.subarray(0, pages).every((flag) => flag === 1), 'it was read just now')
    assert.equal(resident[pages], 9)
    await memory.close()
  })

  it('tells of more pages than one look has room for', async () => {
    // Two looks and a bit over addresses where nothing is: all absent, and nothing else is written.
    const pages = 2 * 32 * 1024 + 5
    const bytes = pages * PAGE_BYTES
    const isHole = (start: bigint, end: bigint): boolean => end - start > 4n * BigInt(bytes)
    const before = mappings.find(({ end }, index) => isHole(end, mappings[index + 1]?.start ?? end))!
    const blocks = [{ name: 'nothing', bytes, address: before.end + BigInt(bytes) }]
    const memory = openProcessMemory(layoutOf({ blocks }))
    const resident = new Uint8Array(pages + 1).fill(9)
    await memory.resident(0, 0, pages, resident)
    assert.ok(resident.subarray(0, pages).every((flag) => flag === 0))
    assert.equal(resident[pages], 9)
    await assert.rejects(memory.read(0, 0, 1, Buffer.alloc(PAGE_BYTES)), { code: 'guest-memory-moved', fault: 'guest' })
    await memory.close()
  })

  it('is asked for inside its blocks only', async () => {
    const memory = openProcessMemory(layoutOf())
    const pages = memory.blocks[0]!.bytes / PAGE_BYTES
    const room = Buffer.alloc(PAGE_BYTES)
    await memory.read(0, pages - 1, 1, room)
    await assert.rejects(memory.read(0, pages, 1, room), /inside the block/)
    await assert.rejects(memory.read(0, -1, 1, room), /inside the block/)
    await assert.rejects(memory.read(2, 0, 1, room), /block exists/)
    await memory.close()
  })

  it('is not opened of another process than was meant, and nothing stays open then', () => {
    const before = openFiles()
    for (const wrong of [{ startTicks: startTicks + 1 }, { startTicks: 1 }, { pid: 2 ** 22 + 1 }]) {
      assert.throws(() => openProcessMemory(layoutOf(wrong)), { code: 'guest-gone', fault: 'guest' })
    }
    assert.equal(openFiles(), before)
  })

  it('is gone once it was closed, as often as that is done', async () => {
    const before = openFiles()
    const memory = openProcessMemory(layoutOf())
    assert.equal(openFiles(), before + 2)
    await memory.close()
    await memory.close()
    assert.equal(openFiles(), before)
    await assert.rejects(memory.read(0, 0, 1, Buffer.alloc(PAGE_BYTES)), { code: 'guest-gone' })
    await assert.rejects(memory.resident(0, 0, 1, new Uint8Array(1)), { code: 'guest-gone' })
  })

  it('is gone once its process has ended, also where it was opened before', async () => {
    const child = spawn('sleep', ['60'])
    try {
      await once(child, 'spawn')
      // It is `sleep` once its program has replaced ours: until then its memory changes.
      while (readFileSync(`/proc/${child.pid}/comm`, 'utf8') !== 'sleep\n') await nextTurn()
      const [mapping] = parseMaps(readFileSync(`/proc/${child.pid}/maps`, 'utf8'))
      const blocks = [{ name: 'one', bytes: PAGE_BYTES, address: mapping!.start }]
      const layout = { guest: 'child', pid: child.pid!, startTicks: readStartTicks(child.pid!)!, blocks }
      const memory = openProcessMemory(layout)
      await memory.read(0, 0, 1, Buffer.alloc(PAGE_BYTES))
      child.kill('SIGKILL')
      await once(child, 'exit')
      await assert.rejects(memory.read(0, 0, 1, Buffer.alloc(PAGE_BYTES)), { code: 'guest-gone' })
      await assert.rejects(memory.resident(0, 0, 1, new Uint8Array(1)), { code: 'guest-gone' })
      await memory.close()
      assert.throws(() => openProcessMemory(layout), { code: 'guest-gone' })
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('is refused to whoever may not read it', function () {
    const isRoot = process.geteuid!() === 0
    const init = { ...layoutOf(), pid: 1, startTicks: readStartTicks(1)! }
    if (isRoot) process.seteuid!(65534)
    try {
      assert.throws(() => openProcessMemory(init), { code: 'guest-forbidden', fault: 'usage', data: { pid: 1 } })
    } finally {
      if (isRoot) process.seteuid!(0)
    }
  })
})
