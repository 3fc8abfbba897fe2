import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

import { openProcessMemory, readStartTicks, type GuestMemory, type ProcessMemoryLayout } from '../../src/guest/index.ts'
import { parseMaps } from '../../src/guest/maps.ts'
import { PAGE_BYTES } from '../../src/page/index.ts'

/** Bytes of this process searched at once. */
const STEP_BYTES = 2 ** 22
const MARK_BYTES = 64

/** A guest's memory inside this process, read through /proc like another process' memory. */
export interface OwnMemory {
  /** To be closed after use. */
  memory: GuestMemory
  /** The bytes themselves: keep them for as long as the memory is read. */
  bytes: Buffer
}

/** @param content whole pages; they are copied. */
export function placeInOwnMemory(name: string, content: Buffer): OwnMemory {
  const room = Buffer.from(new ArrayBuffer(content.length + 2 * PAGE_BYTES))
  const address = addressOf(room)
  const skipped = (PAGE_BYTES - Number(address % BigInt(PAGE_BYTES))) % PAGE_BYTES
  const bytes = room.subarray(skipped, skipped + content.length)
  content.copy(bytes)
  const layout: ProcessMemoryLayout = {
    guest: name, pid: process.pid, startTicks: readStartTicks(process.pid)!,
    blocks: [{ name: 'ram', bytes: content.length, address: address + BigInt(skipped) }],
  }
  return { memory: openProcessMemory(layout), bytes }
}

/** The address of `room`, which JavaScript does not tell: a mark is written to it, searched for, and seen to change. */
function addressOf(room: Buffer): bigint {
  const mark = Buffer.from(`${process.pid} ${process.hrtime.bigint()}`.padEnd(MARK_BYTES))
  mark.copy(room)
  const file = openSync('/proc/self/mem', 'r')
  const isThere = (address: bigint): boolean => {
    const byte = Buffer.alloc(1)
    room[0] = 0
    readSync(file, byte, 0, 1, address)
    room[0] = mark[0]!
    return byte[0] === 0
  }
  try {
    for (const address of placesOf(mark, file, room.length)) if (isThere(address)) return address
  } finally {
    closeSync(file)
    room.fill(0, 0, MARK_BYTES)
  }
  throw new Error('this process may not look into itself')
}

/** Addresses of `mark` in mappings with room for `bytesMin`. */
function* placesOf(mark: Buffer, file: number, bytesMin: number): Generator<bigint> {
  const step = Buffer.alloc(STEP_BYTES)
  for (const { start, end, permissions } of parseMaps(readFileSync('/proc/self/maps', 'utf8'))) {
    if (!permissions.startsWith('rw') || end - start < bytesMin) continue
    // The steps overlap, so that a mark across two of them is found.
    for (let at = start; at < end; at += BigInt(STEP_BYTES - MARK_BYTES)) {
      const wanted = end - at < STEP_BYTES ? Number(end - at) : STEP_BYTES
      const piece = step.subarray(0, readSync(file, step, 0, wanted, at))
      for (let found = piece.indexOf(mark); found !== -1; found = piece.indexOf(mark, found + 1)) {
        yield at + BigInt(found)
      }
    }
  }
}
