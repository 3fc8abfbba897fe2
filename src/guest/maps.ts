/** A line of /proc/PID/maps. */
export interface Mapping {
  /** First byte, and first byte after the mapping. */
  start: bigint
  end: bigint
  /** Such as `rw-p`. */
  permissions: string
  /** The mapped file's path, perhaps with ` (deleted)`, or a name in brackets; empty for anonymous memory. */
  path: string
}

/** Parses /proc/PID/maps. Pure. */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = []
  for (const match of text.matchAll(/^([0-9a-f]+)-([0-9a-f]+) ([rwxsp-]{4})(?: \S+ \S+ \d+ *)?(.*)$/gm)) {
    const [, start, end, permissions, path] = match
    mappings.push({ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), permissions: permissions!, path: path! })
  }
  return mappings
}

/** Whether every byte from `start` for `bytes` is mapped readable. */
export function isMapped(mappings: readonly Mapping[], start: bigint, bytes: number): boolean {
  const end = start + BigInt(bytes)
  let reached = start
  for (const mapping of mappings) {
    if (mapping.end <= reached) continue
    if (mapping.start > reached || !mapping.permissions.startsWith('r')) return false
    reached = mapping.end
    if (reached >= end) return true
  }
  return false
}

/** QEMU aligns RAM blocks to 2 MiB on x86-64 and arm64, to 1 MiB on s390x. */
const BLOCK_ALIGNMENT = 2n ** 20n
/** Size and alignment of an arena of the C library's allocator: its unused part has no permissions either. */
const ARENA_BYTES = 2n ** 26n

/**
 * The mappings that may be RAM blocks of a QEMU: QEMU puts a guard page without permissions after each block, and
 * aligns blocks that no file backs. Thread stacks have guard pages too but are not aligned so. Device memory is left
 * out, because reading a device may change it.
 */
export function findGuarded(mappings: readonly Mapping[]): Mapping[] {
  return mappings.filter((mapping, index) => {
    const behind = mappings[index + 1]
    return mapping.permissions.startsWith('rw-') && !isDevice(mapping) &&
      (mapping.path.startsWith('/') || mapping.start % BLOCK_ALIGNMENT === 0n) &&
      behind?.start === mapping.end && behind.permissions.startsWith('---') && !isArena(mapping, behind)
  })
}

export function bytesOf({ start, end }: Mapping): number {
  return Number(end - start)
}

/**
 * Reads the flags of each mapping out of /proc/PID/smaps, by its first byte. Pure.
 *
 *   7f8ab7e00000-7f8abfe00000 rw-p 00000000 00:00 0
 *   Size:             131072 kB
 *   VmFlags: rd wr mr mw me dc ac dd hg mg
 */
export function parseMapFlags(text: string): Map<bigint, Set<string>> {
  const flags = new Map<bigint, Set<string>>()
  let start: bigint | undefined
  for (const [, first, words] of text.matchAll(/^(?:([0-9a-f]+)-[0-9a-f]+ [rwxsp-]{4} .*|VmFlags: (.*))$/gm)) {
    if (first !== undefined) start = BigInt(`0x${first}`)
    else if (start !== undefined) flags.set(start, new Set(words!.trim().split(' ')))
  }
  return flags
}

function isDevice({ path }: Mapping): boolean {
  return /^(anon_inode:|\/sys\/|\/proc\/|\/dev\/(?!shm\/|hugepages|zero ))/.test(path)
}

function isArena(used: Mapping, unused: Mapping): boolean {
  return used.start % ARENA_BYTES === 0n && unused.end - used.start === ARENA_BYTES
}
