import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

import { RIGHTS_ADVICE } from '../host/rights.ts'
import { PAGE_BYTES } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { GuestMemory, ProcessMemoryLayout, RamBlock } from './memory.ts'
import { markResident, PAGEMAP_ENTRY_BYTES } from './pagemap.ts'
import { processGone, readStartTicks } from './process.ts'

/** Pages of one read of pagemap: 256 KiB of entries, kept for the next read. */
const PAGEMAP_PAGES = 32 * 1024

/**
 * Opens a guest's memory through /proc/PID/mem, read-only, whatever backs it: anonymous memory, memfd, files, huge
 * pages. /proc/PID/pagemap tells which pages are absent or swapped out, without touching them.
 * Throws PagemeshError `guest-gone` if that process has ended, `guest-forbidden` without the right to read it.
 */
export function openProcessMemory(layout: ProcessMemoryLayout): GuestMemory {
  const memory = openProcFile(layout.pid, 'mem')
  let pagemap: number
  try {
    pagemap = openProcFile(layout.pid, 'pagemap')
  } catch (error) {
    closeSync(memory)
    throw error
  }
  // Checked after opening: open files stay bound to this process, and read as empty once it has ended.
  if (readStartTicks(layout.pid) !== layout.startTicks) {
    closeSync(memory)
    closeSync(pagemap)
    throw processGone(layout.pid)
  }
  return new ProcessMemory(layout, memory, pagemap)
}

class ProcessMemory implements GuestMemory {
  readonly name: string
  readonly blocks: readonly RamBlock[]
  readonly layout: ProcessMemoryLayout
  readonly #memory: number
  readonly #pagemap: number
  #entries = Buffer.alloc(0)
  #closed = false

  constructor(layout: ProcessMemoryLayout, memory: number, pagemap: number) {
    this.name = layout.guest
    this.blocks = layout.blocks.map(({ name, bytes }) => ({ name, bytes }))
    this.layout = layout
    this.#memory = memory
    this.#pagemap = pagemap
  }

  async resident(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void> {
    const start = this.#addressOf(block, firstPage, pageCount)
    for (let done = 0; done < pageCount; done += PAGEMAP_PAGES) {
      const count = Math.min(PAGEMAP_PAGES, pageCount - done)
      if (this.#entries.length < count * PAGEMAP_ENTRY_BYTES) this.#entries = Buffer.alloc(count * PAGEMAP_ENTRY_BYTES)
      const position = (start / BigInt(PAGE_BYTES) + BigInt(done)) * BigInt(PAGEMAP_ENTRY_BYTES)
      this.#readWhole(this.#pagemap, this.#entries, count * PAGEMAP_ENTRY_BYTES, position)
      markResident(this.#entries, count, into, done)
    }
  }

  async read(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void> {
    this.#readWhole(this.#memory, into, pageCount * PAGE_BYTES, this.#addressOf(block, firstPage, pageCount))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#memory)
    closeSync(this.#pagemap)
  }

  #addressOf(block: number, firstPage: number, pageCount: number): bigint {
    // A closed memory belongs to a removed guest: remaining users get the same error as for a dead one.
    if (this.#closed) throw processGone(this.layout.pid)
    const place = this.layout.blocks[block]
    assert(place !== undefined, 'the block exists')
    assert(firstPage >= 0 && (firstPage + pageCount) * PAGE_BYTES <= place.bytes, 'the pages lie inside the block')
    return place.address + BigInt(firstPage) * BigInt(PAGE_BYTES)
  }

  #readWhole(file: number, into: Uint8Array, bytes: number, position: bigint): void {
    let done = 0
    while (done < bytes) {
      const count = this.#readSome(file, into, done, bytes - done, position + BigInt(done))
      if (count === 0) throw processGone(this.layout.pid)
      done += count
    }
  }

  #readSome(file: number, into: Uint8Array, offset: number, bytes: number, position: bigint): number {
    try {
      return readSync(file, into, offset, bytes, position)
    } catch (cause) {
      if (readStartTicks(this.layout.pid) !== this.layout.startTicks) throw processGone(this.layout.pid)
      throw new PagemeshError('guest-memory-moved', `Memory of guest ${this.name} is no longer where it was.`, {
        fault: 'guest', data: { pid: this.layout.pid }, cause,
      })
    }
  }
}

/** The content of /proc/PID/NAME; empty once the process has ended. Throws as `openProcessMemory`. */
export function readProcFile(pid: number, name: string): string {
  const file = openProcFile(pid, name)
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (systemErrorCode(cause) === 'ESRCH') throw processGone(pid)
    throw cause
  } finally {
    closeSync(file)
  }
}

function openProcFile(pid: number, name: string): number {
  try {
    return openSync(`/proc/${pid}/${name}`, 'r')
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'ENOENT' || code === 'ESRCH') throw processGone(pid)
    throw new PagemeshError('guest-forbidden', `The memory of process ${pid} may not be read by this user.`, {
      fault: 'usage',
      advice: RIGHTS_ADVICE,
      data: { pid },
      cause,
    })
  }
}
