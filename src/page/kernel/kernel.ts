/**
 * Loads the addon that build.js compiled from kernel.c. It is optional: if it is missing or faulty, the package hashes
 * pages, to the same ids, and connections stay in their thread.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

import { assert } from '../../runtime/assert.ts'
import { createCryptoSealer } from '../cryptosealer.ts'
import { createPackageHasher } from '../packagehasher.ts'
import { BOUND_BYTES, NONCE_BYTES, SEAL_BYTES } from '../sealed.ts'
import { ID_BYTES, PAGE_BYTES } from '../size.ts'

/** An instruction set that the kernel was compiled for and the processor supports. */
export type InstructionSet = 'avx512' | 'avx2' | 'sse2' | 'neon' | 'baseline'

/** What hashes pages in this process. */
export type KernelInUse = InstructionSet | 'package'

/** Exports of kernel.c. */
export interface Addon {
  /** Fastest first; never empty. */
  readonly instructionSets: readonly InstructionSet[]
  /**
   * Writes the ids of `count` pages into `ids` from byte `idOffset`. `offsets` lists the start of each page in `pages`,
   * or is the start of the first of consecutive pages. `set` is an index of `instructionSets`. Throws TypeError or
   * RangeError if a page or id lies outside of its array, and then has written nothing.
   */
  hash(
    set: number, key: Uint8Array, pages: Uint8Array, offsets: Uint32Array | number, count: number,
    ids: Uint8Array, idOffset: number,
  ): void
  /** A duplicate of descriptor `fd`. Throws an Error with the system's code. */
  duplicate(fd: number): number
  /**
   * Id of the process at the other end of the UNIX connection `fd`: the one that connected or listened; 0 if it is in
   * a PID namespace that we cannot see. Throws an Error if it is no such connection.
   */
  peerProcess(fd: number): number
  /** Descriptors of two connected UNIX sockets. Throws an Error if the process has too many. */
  connectedPair(): [number, number]
  /**
   * Sends a duplicate of descriptor `fd`, with one space, to the process at the other end of the UNIX connection
   * `over`. Throws an Error if nothing was sent.
   */
  passDescriptor(over: number, fd: number): void
  /**
   * Destination of the accepted TCP connection `fd` before this system's NAT, as `host:port` or `[host]:port`. Throws
   * an Error if the kernel tracks no such connection.
   */
  originalDestination(fd: number): string
  /**
   * Latest delivery rate of the TCP connection `fd`, bytes a second, and the number of acknowledged bytes. Throws an
   * Error if the kernel does not report them.
   */
  delivery(fd: number): [bytesPerSecond: number, bytes: number]
  /**
   * Seals the entries from `first` to `behind` (exclusive) as in `SealedPages`, whose nonces are in place. Throws
   * TypeError or RangeError if something lies outside of its array, and then has written nothing. Missing, like the
   * next, if Node has no OpenSSL of its own.
   */
  sealPages?(
    key: Uint8Array, pages: Uint8Array, offsets: Uint32Array, sealed: Uint8Array, places: Uint32Array,
    bound: Uint8Array, first: number, behind: number,
  ): void
  /** Opens entries: `isOpen[i]` becomes 1 or, if entry i was not sealed so and its page is left as it is, 0. */
  openPages?(
    key: Uint8Array, pages: Uint8Array, offsets: Uint32Array, sealed: Uint8Array, places: Uint32Array,
    bound: Uint8Array, first: number, behind: number, isOpen: Uint8Array,
  ): void
}

/** The kernel's measurements of a TCP connection. */
export interface Delivery {
  /** Latest delivery rate. */
  bytesPerSecond: number
  /** Acknowledged bytes in all. */
  bytes: number
}

export interface Kernel extends Omit<Addon, 'instructionSets' | 'hash'> {
  readonly instructionSet: InstructionSet
  /** The addon's `hash`, with the fastest instruction set. */
  hash(
    key: Uint8Array, pages: Uint8Array, offsets: Uint32Array | number, count: number, ids: Uint8Array, idOffset: number,
  ): void
}

/** Beside the C sources, whether this file runs from src or from dist. */
export const ADDON_PATH = fileURLToPath(
  new URL(`../../../src/page/kernel/kernel-${process.platform}-${process.arch}.node`, import.meta.url))

/** Covers full calls of every instruction set, and a rest smaller than any of them. */
const PROBE_PAGES = 16 + 7
/** Odd, so that the pages overlap and have every alignment. */
const PROBE_STEP_BYTES = 97

let loaded: { kernel: Kernel | undefined } | undefined

/** The kernel; undefined if it is missing or `PAGEMESH_KERNEL` is `off`. Each thread loads it once. */
export function loadKernel(): Kernel | undefined {
  loaded ??= { kernel: process.env.PAGEMESH_KERNEL === 'off' ? undefined : kernelOf(loadAddon(ADDON_PATH)) }
  return loaded.kernel
}

export function kernelInUse(): KernelInUse {
  return loadKernel()?.instructionSet ?? 'package'
}

/** A duplicate of descriptor `fd`; undefined without a kernel, or if the process has too many descriptors. */
export function duplicateDescriptor(fd: number): number | undefined {
  try {
    return loadKernel()?.duplicate(fd)
  } catch {
    // Closed meanwhile, or too many open descriptors: the connection stays in this thread.
    return undefined
  }
}

/** Id of the process at the other end of a UNIX connection; undefined without a kernel. */
export function peerProcess(fd: number): number | undefined {
  return loadKernel()?.peerProcess(fd)
}

/** A redirected connection's original destination; undefined if unknown, or without a kernel. */
export function originalDestination(fd: number): string | undefined {
  try {
    return loadKernel()?.originalDestination(fd)
  } catch {
    // The connection was not redirected, or is already closed.
    return undefined
  }
}

export function canPassDescriptors(): boolean {
  return loadKernel() !== undefined
}

/** Descriptors of two connected UNIX sockets. Throws without a kernel. */
export function connectedPair(): [number, number] {
  return requireKernel().connectedPair()
}

/** Sends a duplicate of `fd`, with one space, over a UNIX connection. Throws if nothing was sent. */
export function passDescriptor(over: number, fd: number): void {
  requireKernel().passDescriptor(over, fd)
}

function requireKernel(): Kernel {
  const kernel = loadKernel()
  assert(kernel !== undefined, 'who passes descriptors has asked whether that is possible')
  return kernel
}

/** Delivery rate and acknowledged bytes of a connection; undefined if unknown. */
export function deliveryOf(fd: number): Delivery | undefined {
  try {
    const [bytesPerSecond, bytes] = loadKernel()?.delivery(fd) ?? []
    return bytesPerSecond === undefined || bytes === undefined ? undefined : { bytesPerSecond, bytes }
  } catch {
    // No TCP connection, already closed, or the kernel does not measure it.
    return undefined
  }
}

/** The addon at `path`; undefined if it is missing, cannot be loaded, or hashes or seals differently from others. */
export function loadAddon(path: string): Addon | undefined {
  try {
    const addon = createRequire(import.meta.url)(path) as Addon
    return 'passDescriptor' in addon && agreesWithPackage(addon) && agreesWithCrypto(addon) ? addon : undefined
  } catch {
    // Not compiled, or made for another system or version: the package is used instead.
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
    connectedPair: () => addon.connectedPair(),
    passDescriptor: (over, fd) => addon.passDescriptor(over, fd),
    originalDestination: (fd) => addon.originalDestination(fd),
    delivery: (fd) => addon.delivery(fd),
    ...(addon.sealPages === undefined || addon.openPages === undefined ? {}
      : { sealPages: addon.sealPages, openPages: addon.openPages }),
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

/** Whether it seals, or does not, as Node does, and opens that and nothing else. */
function agreesWithCrypto({ sealPages, openPages }: Addon): boolean {
  if (sealPages === undefined || openPages === undefined) return true
  const key = Uint8Array.from({ length: 32 }, (_, i) => i * 5)
  const pages = Uint8Array.from({ length: PAGE_BYTES }, (_, i) => (i * i) >> 3)
  const [offsets, places] = [new Uint32Array(1), new Uint32Array(1)]
  const [sealed, wanted] = [Buffer.alloc(SEAL_BYTES + PAGE_BYTES), Buffer.alloc(SEAL_BYTES + PAGE_BYTES)]
  const bound = new Uint8Array(BOUND_BYTES).fill(2)
  createCryptoSealer(key).seal({ pages, offsets, sealed: wanted, places, bound }, 0, 1, new Uint8Array(NONCE_BYTES))
  sealPages(key, pages, offsets, sealed, places, bound, 0, 1)
  if (!sealed.equals(wanted)) return false
  const opened = new Uint8Array(PAGE_BYTES)
  const opens = (): boolean => {
    const isOpen = new Uint8Array(1)
    openPages(key, opened, offsets, sealed, places, bound, 0, 1, isOpen)
    return isOpen[0] === 1
  }
  if (!opens() || !pages.every((byte, at) => byte === opened[at])) return false
  sealed[sealed.length - 1]! ^= 1
  opened.fill(0)
  return !opens() && opened.every((byte) => byte === 0)
}
