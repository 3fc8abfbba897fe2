/**
 * Measures the lab's real guests for the model of synthetic ones (peers/model.ts): what guests of one system have in
 * common, with the same and with other work, and what changes between two looks. Prints a table and the fit.
 *
 *   node test/sim/fit.ts [SECONDS between two looks, default 30]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createPageHasher, ID_BYTES, isZeroPage, PAGE_BYTES, type PageHasher } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { missingForLab, startGuest, type LabGuest, type Work } from '../../testnet/index.ts'
import { openGuestMemory, residentRuns } from '../../testnet/machine/memory.ts'
import { fitTrio, formatFit, type Look, type TrioFit } from './fitting.ts'

/** Two guests with the same work and one with another, each trio by itself: a small host runs three guests. */
const TRIOS: readonly (readonly [Work, Work, Work])[] = [
  ['web', 'web', 'database'],
  ['database', 'database', 'idle'],
  ['idle', 'idle', 'compile'],
]
const LOOKS = 3
const STEP_PAGES = 1024
const ABSENT = 0
const ZERO = 1

const missing = await missingForLab()
if (missing !== undefined) {
  process.stderr.write(`Fitting needs ${missing}.\n`)
  process.exit(1)
}
const pauseSeconds = Number(process.argv[2] ?? 30)
const fits: TrioFit[] = []
for (const works of TRIOS) {
  process.stderr.write(`guests with work ${works.join(', ')} boot\n`)
  fits.push(fitTrio(works, await lookAtTrio(works, pauseSeconds)))
}
process.stdout.write(`${formatFit(fits, pauseSeconds)}\n`)

/** Boots three guests and takes LOOKS looks at each; by guest, then by look. */
async function lookAtTrio(works: readonly Work[], seconds: number): Promise<Look[][]> {
  const directory = mkdtempSync(join(tmpdir(), 'pm-fit-'))
  const guests: LabGuest[] = []
  const hasher = createPageHasher(new Uint8Array(32))
  try {
    for (const [index, work] of works.entries()) {
      guests.push(await startGuest({ name: `guest-${index}`, work, directory }))
    }
    await Promise.all(guests.map((guest) => guest.ready()))
    const looks: Look[][] = guests.map(() => [])
    for (let round = 0; round < LOOKS; round++) {
      await systemClock.sleep(seconds * 1000)
      for (const [index, guest] of guests.entries()) looks[index]!.push(await lookAt(guest, hasher))
    }
    return looks
  } finally {
    await Promise.all(guests.map((guest) => guest.stop()))
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The contents of each page of a guest, which stands still meanwhile. */
async function lookAt(guest: LabGuest, hasher: PageHasher): Promise<Look> {
  await using memory = await openGuestMemory(guest)
  await guest.qmp.execute('stop')
  try {
    const pages = memory.blocks.reduce((sum, block) => sum + block.bytes / PAGE_BYTES, 0)
    const look = new Float64Array(pages).fill(ABSENT)
    const bytes = Buffer.alloc(STEP_PAGES * PAGE_BYTES)
    let blockStart = 0
    for (const [index, block] of memory.blocks.entries()) {
      const pageCount = block.bytes / PAGE_BYTES
      for (let first = 0; first < pageCount; first += STEP_PAGES) {
        for (const run of await residentRuns(memory, index, first, Math.min(STEP_PAGES, pageCount - first))) {
          await memory.read(index, run.first, run.count, bytes.subarray(0, run.count * PAGE_BYTES))
          note(look, blockStart + run.first, bytes, run.count, hasher)
        }
      }
      blockStart += pageCount
    }
    return look
  } finally {
    await guest.qmp.execute('cont')
  }
}

function note(look: Look, first: number, bytes: Buffer, count: number, hasher: PageHasher): void {
  const ids = new Uint8Array(count * ID_BYTES)
  hasher.hashPages(bytes, 0, count, ids, 0)
  const view = new DataView(ids.buffer)
  for (let page = 0; page < count; page++) {
    // 52 bits of the id; two values are reserved for absent and zero pages.
    const content = (view.getUint32(page * ID_BYTES) >>> 12) * 2 ** 32 + view.getUint32(page * ID_BYTES + 4)
    look[first + page] = isZeroPage(bytes, page * PAGE_BYTES) ? ZERO : Math.max(ZERO + 1, content)
  }
}
