/** Parsers for QEMU's tables of guest memory, as its human monitor prints them. Pure. */

/** A line of `info ramblock`. */
export interface RamBlockLine {
  name: string
  /** Bytes in use, and bytes mapped: a resizable block may use less than it maps. */
  usedBytes: number
  totalBytes: number
  /** Page size of the block's backing, bytes. */
  pageBytes: number
  /** The block's address in QEMU's address space; from QEMU 8.0 on. */
  hostAddress?: bigint
}

/**
 * Parses `info ramblock`:
 *
 *               Block Name    PSize              Offset               Used              Total                HVA  RO
 *                   pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f50...  rw
 *
 * The last two columns came with QEMU 8.0. Lines of another form are skipped.
 */
export function parseRamBlocks(text: string): RamBlockLine[] {
  const hasHostAddress = /\bHVA\b/.test(text.split('\n', 1)[0] ?? '')
  // The last thing that looks like the sizes: a name is free text, and looking for the first takes the square of it.
  const pattern = /^(.*\S)\s+(\d+) (B|[KMGTPE]iB)\s+0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+)(?: 0x([0-9a-f]+))?/
  const blocks: RamBlockLine[] = []
  for (const line of text.split('\n')) {
    const match = pattern.exec(line.trimStart())
    if (match === null) continue
    const [, name = '', pageSize = '', unit = '', used = '', total = '', host] = match
    blocks.push({
      name, usedBytes: Number.parseInt(used, 16), totalBytes: Number.parseInt(total, 16),
      pageBytes: Number(pageSize) * 1024 ** 'BKMGTPE'.indexOf(unit[0]!),
      ...(hasHostAddress && host !== undefined ? { hostAddress: BigInt(`0x${host}`) } : {}),
    })
  }
  return blocks
}

/** A range of guest-physical addresses that is backed by memory. */
export interface MemoryRange {
  /** Name of the memory region: the block's own name, without its device's path. */
  region: string
  /** Guest-physical address in hex digits, ready for a query. */
  guestAddress: string
  /** Offset of the range in the block, bytes. */
  offset: bigint
}

/**
 * Parses `info mtree -f`: the ranges of the flat view whose address space is "memory", such as
 *
 *   0000000000100000-0000000003ffffff (prio 0, ram): pc.ram @0000000000100000 KVM
 */
export function parseMemoryTree(text: string): MemoryRange[] {
  const pattern = /^\s*([0-9a-f]{8,16})-\S+ \(prio -?\d+, (?:nv-)?(?:ram|rom|romd|ramd)\): (\S+)(?: @([0-9a-f]+))?/
  const view = text.split(/^FlatView #\d+/m).find((part) => /^ AS "memory",/m.test(part)) ?? ''
  const ranges: MemoryRange[] = []
  for (const line of view.split('\n')) {
    const match = pattern.exec(line)
    if (match === null) continue
    const [, guestAddress = '', region = '', offset = '0'] = match
    ranges.push({ region, guestAddress, offset: BigInt(`0x${offset}`) })
  }
  return ranges
}

/** A range of `blockName`, if its region name matches this block only. */
export function rangeOfBlock(
  blockName: string, blockNames: readonly string[], ranges: readonly MemoryRange[],
): MemoryRange | undefined {
  return ranges.find(({ region }) => {
    const meant = blockNames.filter((name) => namesRegion(name, region))
    return meant.length === 1 && meant[0] === blockName
  })
}

/** A block's name is its region's, with the device path in front: `0000:00:02.0/vga.vram`. */
function namesRegion(blockName: string, region: string): boolean {
  return blockName === region || blockName.endsWith(`/${region}`)
}

/** Parses the answer of `gpa2hva`: `Host virtual address for 0x0 (pc.ram) is 0x7f50...`; undefined for an error. */
export function parseHostAddress(text: string): { region: string; hostAddress: bigint } | undefined {
  const match = /^Host virtual address for 0x[0-9a-f]+ \((.+)\) is 0x([0-9a-f]+)/m.exec(text)
  if (match === null) return undefined
  return { region: match[1]!, hostAddress: BigInt(`0x${match[2]}`) }
}
