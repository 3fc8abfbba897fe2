/** A line of /proc/PID/maps. */
export interface Mapping {
  /** First byte and first byte behind. */
  start: bigint
  end: bigint
  /** Such as `rw-p`. */
  permissions: string
  /** What is mapped: a file's path, perhaps with ` (deleted)`, or a name in brackets; empty for anonymous memory. */
  path: string
}

/** Reads /proc/PID/maps. Pure: text to values. */
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

/** What QEMU maps a RAM block by: 2 MiB on x86-64 and arm64, 1 MiB on s390x. */
const BLOCK_ALIGNMENT = 2n ** 20n
/** Bytes and alignment of an arena of the C library's allocator: what it does not use yet has no permission either. */
const ARENA_BYTES = 2n ** 26n

/**
 * Where QEMU mapped a RAM block of exactly `bytes`: it aligns each, and puts a page without any permission behind it.
 * Other memory in front of a thread's guard page is not aligned so. Undefined unless exactly one mapping outside
 * `taken` fits.
 */
export function findGuarded(
  mappings: readonly Mapping[], bytes: number, taken: ReadonlySet<bigint>,
): bigint | undefined {
  const fitting = mappings.filter((mapping, index) => {
    const behind = mappings[index + 1]
    return mapping.end - mapping.start === BigInt(bytes) && mapping.permissions.startsWith('rw-')
      && mapping.start % BLOCK_ALIGNMENT === 0n && !taken.has(mapping.start)
      && behind?.start === mapping.end && behind.permissions.startsWith('---') && !isArena(mapping, behind)
  })
  return fitting.length === 1 ? fitting[0]!.start : undefined
}

function isArena(used: Mapping, unused: Mapping): boolean {
  return used.start % ARENA_BYTES === 0n && unused.end - used.start === ARENA_BYTES
}
