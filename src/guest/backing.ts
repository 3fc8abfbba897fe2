import { readFileSync, statfsSync } from 'node:fs'

import { parseMaps, type Mapping } from './maps.ts'
import type { ProcessMemoryBlock } from './memory.ts'

/** Magic numbers of file systems, from the kernel's magic.h. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0x0102_1994: 'tmpfs', 0x9584_58f6: 'hugetlbfs', 0x8584_58f6: 'ramfs', 0xef53: 'ext4', 0x5846_5342: 'xfs',
  0x9123_683e: 'btrfs', 0x6969: 'nfs', 0x794c_7630: 'overlayfs', 0x2fc1_2fc1: 'zfs', 0xf2f5_2010: 'f2fs',
}

/** Backings that userfaultfd supports, which post-copy needs at the destination. */
const SERVED = new Set(['anonymous', 'tmpfs', 'hugetlbfs'])

/** The backing of each block: `anonymous`, or the type of the file system. Blocks of unknown backing are left out. */
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

/** The first block that post-copy could not fill, and its backing. */
export function findUnserved(backings: ReadonlyMap<string, string>): { block: string; backing: string } | undefined {
  for (const [block, backing] of backings) if (!SERVED.has(backing)) return { block, backing }
  return undefined
}

/** The backing of a mapping of process `pid`; undefined if it cannot be determined. */
export function backingOf(
  pid: number, { path, start, end }: Pick<Mapping, 'path' | 'start' | 'end'>,
): string | undefined {
  if (path === '' || path.startsWith('[')) return 'anonymous'
  // Shared memory of the kernel: its files have no path.
  if (/^\/(memfd:|dev\/zero \(deleted\)|SYSV)/.test(path)) return 'tmpfs'
  if (path.startsWith('/anon_hugepage')) return 'hugetlbfs'
  const range = `${start.toString(16)}-${end.toString(16)}`
  // map_files also leads to deleted files, but only root may follow it.
  return fileSystemOf(`/proc/${pid}/map_files/${range}`) ?? fileSystemOf(`/proc/${pid}/root${path}`)
}

function fileSystemOf(path: string): string | undefined {
  try {
    const { type } = statfsSync(path)
    return FILE_SYSTEMS[type] ?? `a file system of kind 0x${type.toString(16)}`
  } catch {
    // It is in another mount namespace, or was deleted.
    return undefined
  }
}
