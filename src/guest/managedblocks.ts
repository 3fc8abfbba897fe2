/**
 * Which mappings of a QEMU are its guest's memory, without asking it. Pure.
 *
 * Memory that the guest was started with has a size that the command line says. What was plugged in later it does not
 * say: there the kernel's flags tell (`dc`: QEMU keeps a child from having it, and does so with nothing else that has a
 * page without permission behind it). Reading them walks the page tables of the whole process, so that they are asked
 * for only when a mapping appears that may be such.
 */
import { bytesOf, findGuarded, type Mapping } from './maps.ts'
import type { ProcessMemoryBlock } from './memory.ts'

/** Smaller ones are of graphics cards and threads' stacks, and not worth a look. */
const PLUGGED_BYTES_MIN = 32 * 2 ** 20
/** No QEMU has so many; a program that plays one might. */
export const MANAGED_BLOCKS_MAX = 1024

export interface ManagedMappings {
  /** Of the memory that the guest was started with. */
  declared: Mapping[]
  /** Of what may have been plugged in since. */
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

/** Those whose flags are of memory that was plugged in; `flags` by a mapping's first byte. */
export function findPlugged(perhaps: readonly Mapping[], flags: ReadonlyMap<bigint, ReadonlySet<string>>): Mapping[] {
  return perhaps.filter(({ start }) => {
    const own = flags.get(start)
    return own !== undefined && own.has('dc') && !own.has('io') && !own.has('pf')
  })
}

/** The blocks in the order of their addresses. Which of QEMU's each is cannot be told, and the census need not know. */
export function blocksOf(mappings: readonly Mapping[]): ProcessMemoryBlock[] {
  return mappings.toSorted((a, b) => (a.start < b.start ? -1 : 1))
    .map((mapping, index) => ({ name: `ram${index}`, bytes: bytesOf(mapping), address: mapping.start }))
}
