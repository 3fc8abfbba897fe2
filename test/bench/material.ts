/**
 * The benches' material: a guest made of real bytes, its pages that another guest also holds, and the stream that QEMU
 * would write. The same for the same seed and the same Node.
 */
import { closeSync, openSync, readSync } from 'node:fs'

import { PAGE_BYTES } from '../../src/page/index.ts'
import { seededRandom, shuffled } from '../support/random.ts'
import { precopyStream } from '../support/streambuilder.ts'

export interface Material {
  /** Pages of the guest in the order of its memory; undefined is a page of zeros. */
  pages: readonly (Buffer | undefined)[]
  /** Pages of the other guest, in the order of its own memory, one after the other. */
  held: Buffer
  heldPages: number
  /** A whole pre-copy of the guest. */
  stream: Uint8Array
}

/** Parts of the guest's memory. Half of the non-zero pages are in the other guest too. */
const ZERO_SHARE = 0.3
const REPEATED_SHARE = 0.1
const HELD_SHARE = 0.5
/** Longest run of pages; files make runs. */
const RUN_PAGES_MAX = 16

/** @param pageCount pages of the guest; meaningful figures take a few thousand at least. */
export function createMaterial(pageCount: number, seed: number): Material {
  const random = seededRandom(seed)
  const real = realPages(pageCount)
  const pages: (Buffer | undefined)[] = []
  const heldRuns: Buffer[][] = []
  let next = 0
  while (pages.length < pageCount) {
    const length = Math.min(pageCount - pages.length, 1 + Math.floor(random() * RUN_PAGES_MAX))
    const kind = random()
    if (kind < ZERO_SHARE) {
      for (let i = 0; i < length; i++) pages.push(undefined)
    } else if (kind < ZERO_SHARE + REPEATED_SHARE && next > 0) {
      for (let i = 0; i < length; i++) pages.push(real[Math.floor(random() * next)])
    } else {
      const run = real.slice(next, next + length)
      next += length
      pages.push(...run)
      if (random() < HELD_SHARE) heldRuns.push(run)
    }
  }
  const held = shuffled(heldRuns, random).flat()
  return {
    pages, held: Buffer.concat(held), heldPages: held.length,
    stream: precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }]).bytes,
  }
}

/** Distinct pages of Node's own program: machine code and tables, similar to a guest's programs. */
function realPages(count: number): Buffer[] {
  const bytes = Buffer.alloc(count * PAGE_BYTES)
  const file = openSync(process.execPath, 'r')
  readSync(file, bytes, 0, bytes.length, 0)
  closeSync(file)
  const pages: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const page = bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES)
    // Numbered, so that only the intended pages are zero or copies.
    page.writeUInt32LE(i + 1, 0)
    pages.push(page)
  }
  return pages
}
