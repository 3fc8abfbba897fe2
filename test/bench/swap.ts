/**
 * Pages fetched from another host over real meshes and lanes on loopback, both hosts in this process, relative to a
 * plain copy of the same bytes: looked up, read, hashed and compressed at one end, unpacked and hashed at the other.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLibp2pMesh, deriveKeys, Standing, type Mesh } from '../../src/mesh/index.ts'
import { createPageHasher, ID_BYTES, PAGE_BYTES, PrefixTable, type PageSource } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createSwap, type Swap } from '../../src/swap/index.ts'
import { waitFor } from '../../testnet/index.ts'
import { createMaterial } from './material.ts'
import { measureInTurn, type Measured, type Spread } from './measure.ts'
import { openPlainCopy } from './plaincopy.ts'

const KEYS = deriveKeys(new Uint8Array(32).fill(12))
const READY_MS = 30_000

export interface SwapBenchInit {
  /** Pages of the guest from which pages are fetched; a good third of them is. */
  pages: number
  rounds: number
  seed: number
}

export interface SwapBenchOutcome {
  /** Pages per fetch. */
  pages: number
  pagesPerSecond: number
  /** Relative to the plain copy. */
  ratio: Spread
  /** Bytes on the wire, both ways, per byte of the pages. */
  wireShare: number
}

export async function runSwapBench({ pages, rounds, seed }: SwapBenchInit): Promise<SwapBenchOutcome> {
  const hosts = await SwapHosts.open(createMaterial(pages, seed).held)
  const directory = await mkdtemp(join(tmpdir(), 'pm-bench-'))
  const copy = await openPlainCopy(directory)
  const bytes = hosts.pages.length
  try {
    const [, fetched] = await measureInTurn([
      { name: 'plain copy', bytes, prepare: async () => ({ run: () => copy.run(hosts.pages) }) },
      { name: 'fetch', bytes, prepare: async () => ({ run: () => hosts.fetch() }) },
    ], rounds) as [Measured, Measured]
    return {
      pages: bytes / PAGE_BYTES,
      pagesPerSecond: fetched.bytesPerSecond.median / PAGE_BYTES,
      ratio: fetched.ratio,
      // The warm-up round went over the wire too.
      wireShare: hosts.wireBytes / (bytes * (rounds + 1)),
    }
  } finally {
    await copy.close()
    await rm(directory, { recursive: true, force: true })
    await hosts.close()
  }
}

/** The part of the report for people. Pure. */
export function formatSwap({ pages, pagesPerSecond, ratio, wireShare }: SwapBenchOutcome): string {
  const { median, min, max } = ratio
  return [
    `Swap, ${pages} pages from another host, uncapped:`,
    `  fetch            ${(pagesPerSecond / 1000).toFixed(1)} thousand pages a second, ` +
      `${median.toFixed(2)}x (${min.toFixed(2)} to ${max.toFixed(2)}) of a plain copy`,
    `  on the wire      ${(wireShare * 100).toFixed(0)} % of the pages' bytes`,
  ].join('\n')
}

/** One host that has all pages, and one that has none. */
class SwapHosts {
  readonly pages: Buffer
  readonly #ids: Buffer
  readonly #meshes: Mesh[] = []
  readonly #swaps: Swap[] = []
  readonly #hasher = createPageHasher(KEYS.pageKey)

  private constructor(pages: Buffer) {
    this.pages = pages
    this.#ids = Buffer.alloc((pages.length / PAGE_BYTES) * ID_BYTES)
    this.#hasher.hashPages(pages, 0, pages.length / PAGE_BYTES, this.#ids, 0)
  }

  static async open(pages: Buffer): Promise<SwapHosts> {
    const hosts = new SwapHosts(pages)
    await hosts.#add('holder', [hosts.#source()])
    await hosts.#add('asker', [])
    await waitFor(() => (hosts.#meshes.every((mesh) => mesh.members().length === 1) ? true : undefined), {
      clock: systemClock, what: 'the hosts to meet', timeoutMs: READY_MS,
    })
    return hosts
  }

  get wireBytes(): number {
    const { sentBytes, receivedBytes } = this.#swaps[1]!.traffic.handoff
    return sentBytes + receivedBytes
  }

  async fetch(): Promise<void> {
    const count = this.pages.length / PAGE_BYTES
    const high = new Uint32Array(count)
    const low = new Uint32Array(count)
    for (let page = 0; page < count; page++) {
      high[page] = this.#ids.readUInt32BE(page * ID_BYTES)
      low[page] = this.#ids.readUInt32BE(page * ID_BYTES + 4)
    }
    const holders = ['holder']
    const { fetched } = await this.#swaps[1]!.fetch({ count, high, low, holdersOf: () => holders }, {
      purpose: 'handoff', deliver: () => undefined, signal: new AbortController().signal,
    })
    if (fetched !== count) throw new Error(`${fetched} of ${count} pages came`)
  }

  async close(): Promise<void> {
    for (const swap of this.#swaps) await swap.stop()
    for (const mesh of this.#meshes) await mesh.stop()
  }

  async #add(name: string, sources: readonly PageSource[]): Promise<void> {
    const components = { clock: systemClock, log: silentLog, random: systemRandom }
    const mesh = createLibp2pMesh(components, {
      name, keys: KEYS, listen: ['/ip4/127.0.0.1/tcp/0'], lane: '127.0.0.1:0',
      bootstrap: this.#meshes.map(({ self }) => self.address),
    })
    await mesh.start()
    this.#meshes.push(mesh)
    const standing = new Standing(components)
    const swap = createSwap({
      ...components, mesh, hasher: this.#hasher, standing, sources, isPopular: () => true,
      confirm: async ({ count }) => new Uint8Array(count).fill(1),
    }, { bytesPerSecondMax: Infinity })
    await swap.start()
    this.#swaps.push(swap)
  }

  /** All pages, found by a hash table. */
  #source(): PageSource {
    const table = new PrefixTable(this.pages.length / PAGE_BYTES)
    for (let at = 0; at < this.#ids.length; at += ID_BYTES) {
      table.add(this.#ids.readUInt32BE(at), this.#ids.readUInt32BE(at + 4), at / ID_BYTES)
    }
    return {
      kind: 'store',
      fill: async (batch) => {
        const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
        for (let index = 0; index < batch.count; index++) {
          const page = table.get(ids.readUInt32BE(index * ID_BYTES), ids.readUInt32BE(index * ID_BYTES + 4))
          if (page < 0) continue
          this.pages.copy(batch.bytes, index * PAGE_BYTES, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
          batch.markFilled(index, 'store')
        }
      },
    }
  }
}
