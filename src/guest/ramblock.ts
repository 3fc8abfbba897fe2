/** QEMU's own tables of guest memory, as its human monitor prints them. Pure: text to values. */

/** A line of `info ramblock`. */
export interface RamBlockLine {
  name: string
  /** Bytes in use, and bytes mapped: a resizable block may use less than it maps. */
  usedBytes: number
  totalBytes: number
  /** Bytes of a page of what backs the block. */
  pageBytes: number
  /** Where the block lies in QEMU's own address space; only QEMU 8.0 and later say so. */
  hostAddress?: bigint
}

/**
 * Reads `info ramblock`:
 *
 *               Block Name    PSize              Offset               Used              Total                HVA  RO
 *                   pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f50...  rw
 *
 * The last two columns came with QEMU 8.0. Lines that do not look so are passed over.
 */
export function parseRamBlocks(text: string): RamBlockLine[] {
  const hasHostAddress = /\bHVA\b/.test(text.split('\n', 1)[0] ?? '')
  const pattern = /^\s*(\S.*?)\s+(\d+) (B|[KMGTPE]iB)\s+0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+)(?: 0x([0-9a-f]+))?/
  const blocks: RamBlockLine[] = []
  for (const line of text.split('\n')) {
    const match = pattern.exec(line)
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

/** A stretch of the guest's physical addresses that memory answers. */
export interface MemoryRange {
  /** Name of the memory region: the block's own name, without its device's path. */
  region: string
  /** Guest-physical, as hex digits, to be asked for as it is. */
  guestAddress: string
  /** Where in the block the stretch begins, bytes. */
  offset: bigint
}

/**
 * Reads `info mtree -f`: the ranges of the flat view whose address space is "memory", such as
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

/** The range that shows where `blockName` lies, if exactly one block can be meant by the range's region. */
export function rangeOfBlock(
  blockName: string, blockNames: readonly string[], ranges: readonly MemoryRange[],
): MemoryRange | undefined {
  return ranges.find(({ region }) => {
    const meant = blockNames.filter((name) => namesRegion(name, region))
    return meant.length === 1 && meant[0] === blockName
  })
}

/** A block is named after its region, with the path of its device in front: `0000:00:02.0/vga.vram`. */
function namesRegion(blockName: string, region: string): boolean {
  return blockName === region || blockName.endsWith(`/${region}`)
}

/** Reads what `gpa2hva` says: `Host virtual address for 0x0 (pc.ram) is 0x7f50...`. Undefined if it says no. */
export function parseHostAddress(text: string): { region: string; hostAddress: bigint } | undefined {
  const match = /^Host virtual address for 0x[0-9a-f]+ \((.+)\) is 0x([0-9a-f]+)/m.exec(text)
  if (match === null) return undefined
  return { region: match[1]!, hostAddress: BigInt(`0x${match[2]}`) }
}
