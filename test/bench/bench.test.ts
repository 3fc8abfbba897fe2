import assert from 'node:assert/strict'

import { PrefixTable } from '../../src/page/index.ts'
import { formatCensus, runCensusBench } from './census.ts'
import { formatChannels, runChannelsBench } from './channels.ts'
import { formatInventory, runInventoryBench } from './inventory.ts'
import { createMaterial } from './material.ts'
import { spreadOf } from './measure.ts'
import { encodeStream, hashPages, prefixesOf, readStream, ResidentBench, sortedTableOf, tableOf } from './parts.ts'
import { runPassage } from './passage.ts'
import { circumstances, formatReport } from './report.ts'
import { runBenches, type BenchOutcome } from './run.ts'
import { formatStore, runStoreBench } from './store.ts'
import { formatSwap, runSwapBench } from './swap.ts'
import { formatView, runViewBench } from './view.ts'

const PAGES = 600
const SEED = 3

describe('the material of the benches', () => {
  const material = createMaterial(PAGES, SEED)

  it('is the same for the same seed, and another for another', () => {
    assert.deepEqual(createMaterial(PAGES, SEED), material)
    assert.notDeepEqual(createMaterial(PAGES, SEED + 1).stream, material.stream)
  })

  it('has pages of every kind, and each bench sees them all', async () => {
    const table = tableOf(hashPages(material.held))
    assert.equal(table.size, material.heldPages)
    const zero = material.pages.filter((page) => page === undefined).length
    // The stream ends with one more page of zeros.
    assert.equal(readStream(material), PAGES + 1)
    const counts = encodeStream(material, prefixesOf(table))
    assert.equal(counts.zero, zero + 1)
    assert.equal(counts.zero + counts.ref + counts.sentBefore + counts.literal, PAGES + 1)
    for (const count of [counts.ref, counts.sentBefore, counts.literal]) assert.ok(count > PAGES / 100)
    assert.equal(encodeStream(material, prefixesOf(new PrefixTable())).ref, 0)
    const resident = new ResidentBench(material, sortedTableOf(hashPages(material.held)))
    assert.equal(await resident.run(), counts.ref)
    await resident.close()
    const passage = await runPassage(material, table)
    assert.deepEqual(passage.refsFilledBy, {
      sentBefore: counts.sentBefore, resident: counts.ref, store: 0, peer: 0, source: 0,
    })
    assert.ok(passage.receivedBytes < material.stream.length / 2 && passage.processorSeconds > 0)
  })
})

describe('a spread', () => {
  it('is the median between lowest and highest', () => {
    assert.deepEqual(spreadOf([3, 1, 10]), { median: 3, min: 1, max: 10 })
    assert.deepEqual(spreadOf([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 })
  })
})

describe('all benches, small', () => {
  let outcome: BenchOutcome

  before(async function () {
    this.timeout(120_000)
    outcome = await runBenches({ pages: PAGES, rounds: 2, seed: SEED })
  })

  it('measure every side beside the plain copy', () => {
    assert.deepEqual(outcome.sides.map(({ name }) => name), [
      'plain copy', 'stream reader', 'encoder', 'passage', 'whole handoff', 'page ids', 'ids by package',
      'resident pages',
    ])
    assert.deepEqual(outcome.sides[0]!.ratio, { median: 1, min: 1, max: 1 })
    for (const { bytesPerSecond, ratio } of outcome.sides) {
      for (const { median, min, max } of [bytesPerSecond, ratio]) assert.ok(min > 0 && min <= median && median <= max)
    }
  })

  it('hand over the very same bytes, most of them not on the wire', () => {
    const { digestMatched, qemuBytes, wireBytes, pages, refsFilledBy } = outcome.handoff
    assert.ok(digestMatched)
    assert.equal(qemuBytes, outcome.streamBytes)
    assert.ok(wireBytes < qemuBytes / 2)
    assert.ok(refsFilledBy.resident > 0 && refsFilledBy.sentBefore > 0)
    assert.equal(pages.total, PAGES + 1)
  })

  it('count the memory of a page', () => {
    const { prefixTable, census } = outcome.stateBytesPerPage
    assert.ok(prefixTable >= 16 && prefixTable <= 34, `${prefixTable}`)
    assert.ok(census >= 12 && census <= 14, `${census}`)
  })

  it('come with where and how they were measured', () => {
    const report = formatReport(outcome, circumstances('npm run bench'))
    assert.match(report, /npm run bench: 600 pages, .* seed 3, 2 rounds/)
    assert.match(report, new RegExp(`Node ${process.version}`))
    assert.match(report, /passage +\d+\.\d\d s of processor time a GB/)
    assert.match(report, /whole handoff +\d+\.\d\dx +\(/)
  })
})

describe('the bench of several channels, small', () => {
  it('carries all of the stream over each, and reports the cost', async function () {
    this.timeout(60_000)
    const outcomes = await runChannelsBench(createMaterial(PAGES, SEED), [1, 2])
    assert.deepEqual(outcomes.map(({ channels }) => channels), [1, 2])
    for (const { bytesPerSecond, processorSecondsPerGb } of outcomes) {
      assert.ok(bytesPerSecond > 0 && processorSecondsPerGb > 0)
    }
    assert.match(formatChannels(outcomes), /\n  2 +[\d.]+ .*\/s, \d+\.\d\d s of processor time a GB/)
  })
})

describe('the bench of the census, small', () => {
  it('counts memory, slices and scans, and reports them', async () => {
    const outcome = await runCensusBench({ distinctPages: 100_000, pages: PAGES, rounds: 2, seed: SEED })
    assert.ok(outcome.distinctPages > 99_900 && outcome.distinctPages < 100_100)
    for (const bytes of [outcome.bytesPerDistinctPage, outcome.saidBytesPerDistinctPage]) {
      assert.ok(bytes > 20 && bytes <= 32, `${bytes}`)
    }
    assert.ok(outcome.sliceMs.min > 0)
    assert.deepEqual(outcome.scan.map(({ name }) => name), ['reading', 'census scan'])
    assert.match(formatCensus(outcome), /20 guests with 0\.10 million .*\n  memory +\d+\.\d bytes a distinct page/)
  })
})

describe('the bench of the tables of a handoff, small', () => {
  it('keeps at most twenty bytes a page, counts bytes on the wire, and reports them', async () => {
    const outcome = await runInventoryBench({ inventoryPages: 500_000, seed: SEED })
    assert.equal(outcome.pages, 500_000)
    assert.ok(outcome.bytesPerPage >= 8 && outcome.bytesPerPage <= 20, `${outcome.bytesPerPage}`)
    assert.ok(outcome.wireBytesPerPage > 1 && outcome.wireBytesPerPage <= 8, `${outcome.wireBytesPerPage}`)
    assert.match(formatInventory(outcome), /0\.50 million pages:\n  memory +\d+\.\d bytes a page, beside 1[23]\.\d /)
  })
})

describe('the bench of the view, small', () => {
  it('counts memory and lookups, and reports them', async () => {
    const outcome = await runViewBench({ viewPages: 50_000, rounds: 2, seed: SEED })
    assert.equal(outcome.pages, 50_000)
    assert.ok(outcome.bytesPerPage >= 18 && outcome.bytesPerPage <= 24, `${outcome.bytesPerPage}`)
    for (const { perSecond, ratio } of [outcome.hit, outcome.miss]) assert.ok(perSecond > 0 && ratio.min > 0)
    assert.ok(outcome.top.ms > 0 && outcome.top.passes.min > 0)
    assert.match(formatView(outcome), /0\.05 million of them:\n  memory +\d+\.\d bytes a page/)
  })
})

describe('the bench of the store, small', () => {
  it('counts memory, opening and rates, and reports them', async function () {
    this.timeout(60_000)
    const outcome = await runStoreBench({ storedPages: 100_000, pages: PAGES, rounds: 2, seed: SEED })
    assert.ok(outcome.bytesPerPage > 18 && outcome.bytesPerPage <= 30, `${outcome.bytesPerPage}`)
    assert.ok(outcome.openSeconds.min > 0)
    for (const { pagesPerSecond, ratio } of [outcome.put, outcome.inOrder, outcome.anyOrder, outcome.hashed]) {
      assert.ok(pagesPerSecond > 0 && ratio.min > 0)
    }
    assert.match(formatStore(outcome), /0\.10 million pages:\n  memory +\d+\.\d bytes a page\n  opened in/)
  })
})

describe('the bench of swap, small', () => {
  it('fetches every page, counts bytes on the wire, and reports them', async function () {
    this.timeout(60_000)
    const outcome = await runSwapBench({ pages: 4 * PAGES, rounds: 2, seed: SEED })
    assert.ok(outcome.pages > PAGES / 2 && outcome.pagesPerSecond > 0 && outcome.ratio.min > 0)
    assert.ok(outcome.wireShare > 0.05 && outcome.wireShare < 1, `${outcome.wireShare}`)
    assert.match(formatSwap(outcome), /Swap, \d+ pages .*\n  fetch +\d+\.\d thousand .*\n  on the wire/)
  })
})
