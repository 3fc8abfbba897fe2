import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { planOf, type Step } from '../../../testnet/compare/cells.ts'
import { contentOf } from '../../../testnet/compare/report/content.ts'
import { renderHtml } from '../../../testnet/compare/report/html.ts'
import { renderMarkdown } from '../../../testnet/compare/report/markdown.ts'
import { writeReport } from '../../../testnet/compare/report/write.ts'
import type { Measured, Sample } from '../../../testnet/compare/sample.ts'

const WIRE_MB = { similar: 20, placement: 30, nothing: 60 }

/** A sample of the size that such measurements have; a way of ours takes less wherever there is more to refer to. */
function sampleOf({ round, cell, way }: Step, downtimeMs: { ours: number; theirs: number }): Sample {
  const isOurs = way.startsWith('pagemesh')
  const bytesPerSecond = { '100 Mbit/s': 12.5e6, '1 Gbit/s': 125e6, 'unshaped': 400e6 }[cell.link]
  const wireBytes = (isOurs ? WIRE_MB[cell.destination] : way === 'qemu-multifd-zstd' ? 85 : 250) * 1e6 * cell.count +
    round * 1e6
  return {
    round, cell, way, wireBytes, sourceBytes: wireBytes * 0.98,
    accounts: { report: 20e3, gossip: 5e3, swap: 0, peers: 0, handoff: isOurs ? wireBytes : 0 },
    totalMs: 500 + (wireBytes / bytesPerSecond) * 1000, downtimeMs: isOurs ? downtimeMs.ours : downtimeMs.theirs,
    silenceMs: (isOurs ? downtimeMs.ours : downtimeMs.theirs) + 20, usualSilenceMs: 18,
    peakBytesPerSecond: bytesPerSecond, agentSeconds: isOurs ? 2 : 0.1, qemuSeconds: 3, handoffs: [],
    ...(cell.guest === 'busy' ? { work: { before: 38, during: 20, after: 37 } } : {}),
  }
}

function measured(downtimeMs: { ours: number; theirs: number }, isQuick: boolean): Measured {
  const samples = planOf(isQuick).steps.filter(({ round }) => round <= 2).map((step) => sampleOf(step, downtimeMs))
  return {
    circumstances: {
      command: 'npm run compare', startedAt: '2026-11-22T20:00:00.000Z', seconds: 2400, cpu: 'A <fast> one', cpus: 2,
      memoryBytes: 16e9, load: 0.2, node: 'v24.0.0', qemu: 'QEMU emulator version 7.2', accelerator: 'tcg',
      guestMemoryMiB: 512,
    },
    beforehand: {
      accounts: { report: 1e6, gossip: 0, swap: 35e6, peers: 0, handoff: 0 }, storePages: 25_000, popularPages: 26_000,
    },
    samples, omitted: 0,
  }
}

const LOSING = { ours: 120, theirs: 80 }

describe('the report of the comparison', () => {
  it('says in its first paragraph where Pagemesh loses', () => {
    const [, first] = renderMarkdown(contentOf(measured(LOSING, true))).split('\n\n')
    assert.match(first!, /^Pagemesh loses in some cells\. Downtime as reported: more than the best of QEMU in all /)
    assert.match(first!, /120 ms by Pagemesh pre-copy against 80 ms by QEMU pre-copy/)
    assert.doesNotMatch(first!, /Bytes on the wire/)
  })

  it('says that it loses nowhere where it loses nowhere', () => {
    const [, first] = renderMarkdown(contentOf(measured({ ours: 50, theirs: 80 }, true))).split('\n\n')
    assert.match(first!, /^Pagemesh loses in no cell\./)
  })

  it('names losses and failures, and what there was no time for', () => {
    const about = measured(LOSING, true)
    about.samples.find(({ way }) => way === 'qemu-multifd-zstd')!.loss = 'QEMU ended'
    about.samples.find(({ way }) => way === 'pagemesh-postcopy')!.failure = 'no way'
    const text = renderMarkdown(contentOf({ ...about, omitted: 3 }))
    assert.match(text, /multifd\+zstd, round 1: moved, its figures count, and there was no living guest: QEMU ended/)
    assert.match(text, /did not move: no way/)
    assert.match(text, /Of the first round 3 measurements were not made/)
  })

  it('states what comes from distribution beforehand, and what it cost', () => {
    const text = renderMarkdown(contentOf(measured(LOSING, false)))
    assert.match(text, /of the bytes saved there, 14 % come from distribution beforehand/)
    assert.match(text, /as much as it saves in 2 such migrations/)
  })

  it('can be made of nothing but failures', () => {
    const about = measured(LOSING, true)
    for (const sample of about.samples) sample.failure = 'no way'
    assert.match(renderMarkdown(contentOf(about)), /there is no winner/)
  })

  it('is a web page that needs nothing else, with all text as text', () => {
    const html = renderHtml(contentOf(measured(LOSING, true)), 'Title')
    assert.match(html, /A &lt;fast&gt; one/)
    assert.doesNotMatch(html, /<(script|link|img)|https?:\/\/(?!www\.w3\.org)/)
    assert.equal(html.match(/<figure/g)?.length, html.match(/<\/svg>/g)?.length)
  })

  it('is written with its plots and the raw results', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pm-compare-'))
    try {
      const about = measured(LOSING, false)
      await writeReport(directory, about)
      const files = readdirSync(directory)
      const named = readFileSync(join(directory, 'report.md'), 'utf8').matchAll(/\]\((\w+\.svg)\)/g)
      for (const [, file] of named) assert.ok(files.includes(file!), file)
      assert.ok(files.includes('report.html'))
      assert.deepEqual(JSON.parse(readFileSync(join(directory, 'results.json'), 'utf8')), about)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
