import { strict as assert } from 'node:assert'
import { readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'

import { isVolatile } from '../../../src/census/place.ts'
import { Scanner } from '../../../src/census/scanner.ts'
import { openProcessMemory, type GuestMemory } from '../../../src/guest/index.ts'
import { parseMaps } from '../../../src/guest/maps.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import { createPageHasher, PAGE_BYTES } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'

const hasher = createPageHasher(new Uint8Array(32).fill(5))
const components = { clock: systemClock, log: silentLog }
const signal = new AbortController().signal

/** A read-only piece of this process' own memory plays the guest: the program's code, which does not change. */
function ownMemory(startTicks = readStartTicks(process.pid)!): GuestMemory {
  const code = parseMaps(readFileSync('/proc/self/maps', 'utf8')).find((mapping) => mapping.permissions === 'r-xp')!
  const bytes = Math.min(Number(code.end - code.start), 2000 * PAGE_BYTES)
  const layout = { guest: 'self', pid: process.pid, startTicks, blocks: [{ name: 'code', bytes, address: code.start }] }
  return { name: 'self', blocks: layout.blocks, layout, async resident() {}, async read() {}, async close() {} }
}

describe('scanner with a worker thread', () => {
  let scanner: Scanner

  afterEach(() => scanner.stop())

  it('finds in the worker what it finds here', async () => {
    scanner = new Scanner(components, { pagesPerSecond: 1e6 })
    const memory = ownMemory()
    const there = await scanner.scan(memory, hasher, { entriesMax: 2 ** 20 }, signal)
    const opened = bare(openProcessMemory(memory.layout!))
    const here = await scanner.scan(opened, hasher, { entriesMax: 2 ** 20 }, signal)
    assert.ok(there.table.size > 0)
    assert.equal(there.table.size, here.table.size)
    let same = 0
    there.table.forEach((high, low, value) => { if (here.table.get(high, low) === value) same += 1 })
    assert.equal(same, there.table.size)
    const previous = there.fingerprints
    const again = await scanner.scan(memory, hasher, { entriesMax: 2 ** 20, previous }, signal)
    assert.equal(previous.length, 0, 'the fingerprints went to the worker without being copied')
    assert.deepEqual([there.isCompared, again.isCompared], [false, true])
    let stable = 0
    again.table.forEach((_high, _low, place) => { if (!isVolatile(place)) stable += 1 })
    assert.ok(stable > again.table.size / 2, `${stable} stable pages`)
    await opened.close()
  }).timeout(10_000)

  it('lets guests go before it where cores are short, unless the scan is urgent', async () => {
    scanner = new Scanner(components, { pagesPerSecond: 1e6 })
    // Whoever runs the tests politely has all threads so; beyond 15 no thread is more so than the others.
    const ownNice = getPriority()
    const politeThreads = (): number => readdirSync('/proc/self/task').filter((task) => {
      const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8')
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]) > ownNice
    }).length
    await scanner.scan(ownMemory(), hasher, { entriesMax: 2 ** 16 }, signal, true)
    assert.equal(politeThreads(), 0)
    await scanner.scan(ownMemory(), hasher, { entriesMax: 2 ** 16 }, signal)
    assert.equal(politeThreads(), ownNice < 15 ? 1 : 0)
    await scanner.stop()
    assert.equal(politeThreads(), 0)
  })

  it('reports a process that is not the one that was meant', async () => {
    scanner = new Scanner(components, { pagesPerSecond: 1e6 })
    await assert.rejects(scanner.scan(ownMemory(1), hasher, { entriesMax: 2 ** 16 }, signal), hasCode('guest-gone'))
  })

  it('abandons a scan', async () => {
    scanner = new Scanner(components, { pagesPerSecond: 100 })
    const abort = new AbortController()
    const scan = scanner.scan(ownMemory(), hasher, { entriesMax: 2 ** 20 }, abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(scan, /enough/)
  })

  it('says that its worker died, and starts another', async () => {
    const workerUrl = new URL('data:text/javascript,import{parentPort}from"node:worker_threads";' +
      'parentPort.on("message",()=>{throw new Error("broken")})')
    scanner = new Scanner(components, { pagesPerSecond: 1e6, workerUrl })
    for (let time = 0; time < 2; time++) {
      await assert.rejects(scanner.scan(ownMemory(), hasher, { entriesMax: 2 ** 16 }, signal), hasCode('scan-failed'))
    }
  })
})

/** The same memory without a layout, so that it is scanned in this thread. */
function bare(memory: GuestMemory): GuestMemory {
  return {
    name: memory.name,
    blocks: memory.blocks,
    resident: (...which) => memory.resident(...which),
    read: (...which) => memory.read(...which),
    close: () => memory.close(),
  }
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof PagemeshError && error.code === code
}
