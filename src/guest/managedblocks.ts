/**
 * Finds a guest's memory among its QEMU's mappings, without QMP. Pure.
 *
 * The command line says the sizes of the memory that the guest was started with. Memory that was hot-plugged later is
 * recognised by the kernel's flag `dc` (MADV_DONTFORK): QEMU sets it on guest memory and on nothing else that has a
 * guard page. Reading the flags walks the page tables of the whole process, so they are read only when a mapping
 * appears that may be hot-plugged memory.
 */
import { bytesOf, findGuarded, type Mapping } from './maps.ts'
import type { ProcessMemoryBlock } from './memory.ts'

/** Smaller mappings belong to graphics cards and thread stacks. */
const PLUGGED_BYTES_MIN = 32 * 2 ** 20
/** No QEMU has more; a program that imitates one might. */
export const MANAGED_BLOCKS_MAX = 1024

export interface ManagedMappings {
  /** Memory that the guest was started with. */
  declared: Mapping[]
  /** Mappings that may be hot-plugged memory. */
  perhaps: Mapping[]
}

/** Sorts the mappings of a QEMU that was started with memory of these sizes. */
export function sortMappings(mappings: readonly Mapping[], ramSizes: readonly number[]): ManagedMappings {
  const guarded = findGuarded(mappings)
  const isDeclared = (mapping: Mapping): boolean => ramSizes.includes(bytesOf(mapping))
  return {
    declared: guarded.filter(isDeclared),
    perhaps: guarded.filter((mapping) => !isDeclared(mapping) && bytesOf(mapping) >= PLUGGED_BYTES_MIN),
  }
}

/** The hot-plugged memory among `perhaps`; `flags` are keyed by a mapping's first byte. */
export function findPlugged(perhaps: readonly Mapping[], flags: ReadonlyMap<bigint, ReadonlySet<string>>): Mapping[] {
  return perhaps.filter(({ start }) => {
    const own = flags.get(start)
    return own !== undefined && own.has('dc') && !own.has('io') && !own.has('pf')
  })
}

/** Blocks in address order. Their QEMU names are unknown; the census does not need them. */
export function blocksOf(mappings: readonly Mapping[]): ProcessMemoryBlock[] {
  return mappings.toSorted((a, b) => (a.start < b.start ? -1 : 1))
    .map((mapping, index) => ({ name: `ram${index}`, bytes: bytesOf(mapping), address: mapping.start }))
}
