import { readFileSync } from 'node:fs'

import { PAGE_BYTES } from '../page/index.ts'
import { bytesOf, findGuarded, isMapped, parseMaps, type Mapping } from './maps.ts'
import type { ProcessMemoryBlock, ProcessMemoryLayout } from './memory.ts'
import type { ProcessIdentity } from './process.ts'
import { parseHostAddress, parseMemoryTree, parseRamBlocks, rangeOfBlock, type RamBlockLine } from './ramblock.ts'
import type { QmpAsker } from './status.ts'

export interface FoundLayout {
  layout: ProcessMemoryLayout
  /** Names of blocks that were not found in the process: the census leaves them out. */
  unmapped: string[]
}

/**
 * Finds a guest's RAM blocks and where its process maps them. Three ways, the surest first: QEMU 8.0 and later list the
 * addresses; in earlier versions `gpa2hva` gives those of blocks in the guest's address space; for other blocks, a
 * mapping of exactly the block's size with QEMU's guard page after it is taken, if there is only one.
 */
export async function findLayout(name: string, qmp: QmpAsker, process: ProcessIdentity): Promise<FoundLayout> {
  const lines = parseRamBlocks(await qmp.hmp('info ramblock')).filter((block) => block.usedBytes >= PAGE_BYTES)
  const asked = await askedAddresses(lines, qmp)
  const mappings = parseMaps(readFileSync(`/proc/${process.pid}/maps`, 'utf8'))
  const { blocks, unmapped } = placeBlocks(lines, mappings, asked)
  return { layout: { guest: name, pid: process.pid, startTicks: process.startTicks, blocks }, unmapped }
}

/** The mapped blocks, and those that were not found; `asked`: QEMU's answers. Pure. */
export function placeBlocks(
  lines: readonly RamBlockLine[], mappings: readonly Mapping[], asked: ReadonlyMap<string, bigint>,
): { blocks: ProcessMemoryBlock[]; unmapped: string[] } {
  const addresses = new Map(asked)
  addGuarded(lines, mappings, addresses)
  const blocks: ProcessMemoryBlock[] = []
  const unmapped: string[] = []
  for (const { name, usedBytes } of lines) {
    const bytes = usedBytes - usedBytes % PAGE_BYTES
    const address = addresses.get(name)
    // QEMU's answer is checked: the guest's address map may have changed between two queries.
    if (address === undefined || !isMapped(mappings, address, bytes)) unmapped.push(name)
    else blocks.push({ name, bytes, address })
  }
  return { blocks, unmapped }
}

async function askedAddresses(lines: readonly RamBlockLine[], qmp: QmpAsker): Promise<Map<string, bigint>> {
  const addresses = new Map<string, bigint>()
  for (const { name, hostAddress } of lines) if (hostAddress !== undefined) addresses.set(name, hostAddress)
  const untold = lines.filter(({ hostAddress }) => hostAddress === undefined)
  if (untold.length === 0) return addresses
  const names = lines.map((line) => line.name)
  const ranges = parseMemoryTree(await qmp.hmp('info mtree -f'))
  for (const { name } of untold) {
    const range = rangeOfBlock(name, names, ranges)
    if (range === undefined) continue
    const answer = parseHostAddress(await qmp.hmp(`gpa2hva 0x${range.guestAddress}`))
    if (answer?.region === range.region) addresses.set(name, answer.hostAddress - range.offset)
  }
  return addresses
}

function addGuarded(
  lines: readonly RamBlockLine[], mappings: readonly Mapping[], addresses: Map<string, bigint>,
): void {
  const missing = lines.filter((line) => !addresses.has(line.name))
  const taken = new Set(addresses.values())
  const guarded = findGuarded(mappings).filter(({ start }) => !taken.has(start))
  for (const { name, totalBytes } of missing) {
    // Two blocks of equal size cannot be told apart.
    if (missing.filter((other) => other.totalBytes === totalBytes).length > 1) continue
    const [fitting, another] = guarded.filter((mapping) => bytesOf(mapping) === totalBytes)
    if (fitting !== undefined && another === undefined) addresses.set(name, fitting.start)
  }
}
