/**
 * Loads what build.js compiled from kernel.c. Nothing depends on it: where it is missing or is not right, pages are
 * hashed by the package, to the same ids, and no connection goes to another thread.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

import { createPackageHasher } from '../packagehasher.ts'
import { ID_BYTES, PAGE_BYTES } from '../size.ts'

/** What the kernel was compiled for, and the processor has. */
export type InstructionSet = 'avx512' | 'avx2' | 'sse2' | 'neon' | 'baseline'

/** What hashes pages in this process. */
export type KernelInUse = InstructionSet | 'package'

/** What kernel.c exports. */
export interface Addon {
  /** The fastest first; never empty. */
  readonly instructionSets: readonly InstructionSet[]
  /**
   * Writes the ids of `count` pages into `ids` from byte `idOffset`. Pages begin at the bytes of `pages` that
   * `offsets` lists, or one after the other from the byte that it is. `set` is an index of `instructionSets`.
   * Throws TypeError or RangeError if anything lies outside of what was given, and then has written nothing.
   */
  hash(
    set: number, key: Uint8Array, pages: Uint8Array, offsets: Uint32Array | number, count: number,
    ids: Uint8Array, idOffset: number,
  ): void
  /** Another descriptor of what is open as `fd`. Throws an Error with the system's code. */
  duplicate(fd: number): number
  /**
   * Id of the process at the other end of the UNIX connection `fd`: the one that connected, or that listened; 0 if it
   * cannot be seen from here. Throws an Error if it is no such connection.
   */
  peerProcess(fd: number): number
  /**
   * Where the accepted TCP connection `fd` was meant to go before this system's address translation led it here, as
   * `host:port` or `[host]:port`. Throws an Error if the system knows of no such connection.
   */
  originalDestination(fd: number): string
  /**
   * How fast the other end of the TCP connection `fd` acknowledged what was sent last, bytes a second, and how many
   * bytes in all. Throws an Error if the system does not say.
   */
  delivery(fd: number): [bytesPerSecond: number, bytes: number]
}

/** What the operating system saw of a TCP connection. */
export interface Delivery {
  /** How fast what was sent last was acknowledged. */
  bytesPerSecond: number
  /** How much was acknowledged in all. */
  bytes: number
}

export interface Kernel extends Pick<Addon, 'duplicate' | 'peerProcess' | 'originalDestination' | 'delivery'> {
  readonly instructionSet: InstructionSet
  /** As the addon's, with the fastest instruction set. */
  hash(
    key: Uint8Array, pages: Uint8Array, offsets: Uint32Array | number, count: number, ids: Uint8Array, idOffset: number,
  ): void
}

/** Beside its sources, whether this file runs from src or from dist. */
export const ADDON_PATH = fileURLToPath(
  new URL(`../../../src/page/kernel/kernel-${process.platform}-${process.arch}.node`, import.meta.url))

/** Full steps of every instruction set, and a rest that fills none. */
const PROBE_PAGES = 16 + 7
/** Odd, so that the pages overlap and begin at every alignment. */
const PROBE_STEP_BYTES = 97

let loaded: { kernel: Kernel | undefined } | undefined

/** The kernel, or undefined where there is none, or `PAGEMESH_KERNEL` is `off`. A thread looks once. */
export function loadKernel(): Kernel | undefined {
  loaded ??= { kernel: process.env.PAGEMESH_KERNEL === 'off' ? undefined : kernelOf(loadAddon(ADDON_PATH)) }
  return loaded.kernel
}

export function kernelInUse(): KernelInUse {
  return loadKernel()?.instructionSet ?? 'package'
}

/** Another descriptor of what is open as `fd`, or undefined without a kernel, or where there is no room for it. */
export function duplicateDescriptor(fd: number): number | undefined {
  try {
    return loadKernel()?.duplicate(fd)
  } catch {
    // Closed meanwhile, or too many are open: what was to be given away stays where it is.
    return undefined
  }
}

/** Who is at the other end of a UNIX connection, as the addon says; undefined where there is no kernel to ask. */
export function peerProcess(fd: number): number | undefined {
  return loadKernel()?.peerProcess(fd)
}

/** Where a connection was meant to go that was led here; undefined where nobody can say, or no kernel to ask. */
export function originalDestination(fd: number): string | undefined {
  try {
    return loadKernel()?.originalDestination(fd)
  } catch {
    // It came by itself, or has been closed already.
    return undefined
  }
}

/** How fast, and how much, arrived that was sent over a connection; undefined where nobody can say. */
export function deliveryOf(fd: number): Delivery | undefined {
  try {
    const [bytesPerSecond, bytes] = loadKernel()?.delivery(fd) ?? []
    return bytesPerSecond === undefined || bytes === undefined ? undefined : { bytesPerSecond, bytes }
  } catch {
    // No TCP connection, closed already, or a system that does not measure it.
    return undefined
  }
}

/** The addon at `path`, or undefined if it is missing, cannot be loaded, or hashes otherwise than the package. */
export function loadAddon(path: string): Addon | undefined {
  try {
    const addon = createRequire(import.meta.url)(path) as Addon
    return 'delivery' in addon && agreesWithPackage(addon) ? addon : undefined
  } catch {
    // Not compiled, made for another system, or of another version: the package does as well.
    return undefined
  }
}

function kernelOf(addon: Addon | undefined): Kernel | undefined {
  const instructionSet = addon?.instructionSets[0]
  if (addon === undefined || instructionSet === undefined) return undefined
  return {
    instructionSet,
    hash: (...batch) => addon.hash(0, ...batch),
    duplicate: (fd) => addon.duplicate(fd),
    peerProcess: (fd) => addon.peerProcess(fd),
    originalDestination: (fd) => addon.originalDestination(fd),
    delivery: (fd) => addon.delivery(fd),
  }
}

function agreesWithPackage(addon: Addon): boolean {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7)
  const pages = Uint8Array.from({ length: PAGE_BYTES + PROBE_PAGES * PROBE_STEP_BYTES }, (_, i) => (i * i) >> 3)
  const offsets = Uint32Array.from({ length: PROBE_PAGES }, (_, i) => i * PROBE_STEP_BYTES)
  const ids = Buffer.alloc(PROBE_PAGES * ID_BYTES)
  const wanted = Buffer.alloc(ids.length)
  addon.hash(0, key, pages, offsets, PROBE_PAGES, ids, 0)
  createPackageHasher(key).hashScattered(pages, offsets, PROBE_PAGES, wanted)
  return ids.equals(wanted)
}
