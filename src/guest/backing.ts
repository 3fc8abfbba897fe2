import { readFileSync, statfsSync } from 'node:fs'

import { parseMaps, type Mapping } from './maps.ts'
import type { ProcessMemoryBlock } from './memory.ts'

/** Magic numbers of file systems, from the kernel's magic.h. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0x0102_1994: 'tmpfs', 0x9584_58f6: 'hugetlbfs', 0x8584_58f6: 'ramfs', 0xef53: 'ext4', 0x5846_5342: 'xfs',
  0x9123_683e: 'btrfs', 0x6969: 'nfs', 0x794c_7630: 'overlayfs', 0x2fc1_2fc1: 'zfs', 0xf2f5_2010: 'f2fs',
}

/** What the kernel can fetch page by page (userfaultfd), which a post-copy needs at the destination. */
const SERVED = new Set(['anonymous', 'tmpfs', 'hugetlbfs'])

/** What backs each block: `anonymous`, or the kind of the file system. Blocks that cannot be told are left out. */
export function readBackings(pid: number, blocks: readonly ProcessMemoryBlock[]): Map<string, string> {
  const backings = new Map<string, string>()
  const mappings = parseMaps(readFileSync(`/proc/${pid}/maps`, 'utf8'))
  for (const { name, address } of blocks) {
    const mapping = mappings.find(({ start, end }) => start <= address && address < end)
    const backing = mapping === undefined ? undefined : backingOf(pid, mapping)
    if (backing !== undefined) backings.set(name, backing)
  }
  return backings
}

/** The first block that a post-copy could not fill, and what backs it. */
export function findUnserved(backings: ReadonlyMap<string, string>): { block: string; backing: string } | undefined {
  for (const [block, backing] of backings) if (!SERVED.has(backing)) return { block, backing }
  return undefined
}

/** What backs a mapping of process `pid`; undefined where that cannot be seen. */
export function backingOf(
  pid: number, { path, start, end }: Pick<Mapping, 'path' | 'start' | 'end'>,
): string | undefined {
  if (path === '' || path.startsWith('[')) return 'anonymous'
  // The kernel's own shared memory: files that have no name anywhere.
  if (/^\/(memfd:|dev\/zero \(deleted\)|SYSV)/.test(path)) return 'tmpfs'
  if (path.startsWith('/anon_hugepage')) return 'hugetlbfs'
  const range = `${start.toString(16)}-${end.toString(16)}`
  // The first also leads to a file that was deleted, but only root may follow it.
  return fileSystemOf(`/proc/${pid}/map_files/${range}`) ?? fileSystemOf(`/proc/${pid}/root${path}`)
}

function fileSystemOf(path: string): string | undefined {
  try {
    const { type } = statfsSync(path)
    return FILE_SYSTEMS[type] ?? `a file system of kind 0x${type.toString(16)}`
  } catch {
    // It is in another mount namespace, or has gone.
    return undefined
  }
}
