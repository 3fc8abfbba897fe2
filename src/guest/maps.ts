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

/**
 * Where QEMU mapped a RAM block of exactly `bytes`: it puts a page without any permission behind each.
 * Undefined unless exactly one mapping outside `taken` fits.
 */
export function findGuarded(
  mappings: readonly Mapping[], bytes: number, taken: ReadonlySet<bigint>,
): bigint | undefined {
  const fitting = mappings.filter((mapping, index) => {
    const behind = mappings[index + 1]
    return mapping.end - mapping.start === BigInt(bytes) && mapping.permissions.startsWith('rw-')
      && behind?.start === mapping.end && behind.permissions.startsWith('---') && !taken.has(mapping.start)
  })
  return fitting.length === 1 ? fitting[0]!.start : undefined
}
