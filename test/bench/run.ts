import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { HandoffResult } from '../../src/index.ts'
import { kernelInUse, PAGE_BYTES, type KernelInUse } from '../../src/page/index.ts'
import { HandoffBench } from './handoffs.ts'
import { createMaterial } from './material.ts'
import { measureInTurn, type Measured, type Side } from './measure.ts'
import {
  encodeStream, hashPages, packageHasher, prefixesOf, readStream, ResidentBench, sortedTableOf, tableOf,
} from './parts.ts'
import { runPassage } from './passage.ts'
import { openPlainCopy } from './plaincopy.ts'

export interface BenchInit {
  /** Pages of the guest that is handed over. */
  pages: number
  /** Measured rounds. */
  rounds: number
  seed: number
}

export interface BenchOutcome extends BenchInit {
  streamBytes: number
  /** All sides, the plain copy first. */
  sides: Measured[]
  pagesPerSecond: { hashed: number; hashedByPackage: number; resident: number }
  /** The hash implementation in use. */
  kernel: KernelInUse
  /** Bytes of memory per known page. */
  stateBytesPerPage: { prefixTable: number; census: number }
  /** Processor time of both ends of the last passage, per GB of stream. */
  passageSecondsPerGb: number
  /** Of the last handoff. */
  handoff: Pick<HandoffResult, 'qemuBytes' | 'wireBytes' | 'pages' | 'refsFilledBy' | 'digestMatched'>
}

/** Runs every bench on one material. Throws if a handoff does not complete. */
export async function runBenches(init: BenchInit): Promise<BenchOutcome> {
  const material = createMaterial(init.pages, init.seed)
  const directory = await mkdtemp(join(tmpdir(), 'pm-bench-'))
  const ids = hashPages(material.held)
  const table = tableOf(ids)
  const known = prefixesOf(table)
  const resident = new ResidentBench(material, sortedTableOf(ids))
  const copy = await openPlainCopy(directory)
  const handoffs = await HandoffBench.open(material, directory)
  let last: HandoffResult | undefined
  let processorSeconds = 0
  const bytes = material.stream.length
  const sides: Side[] = [
    { name: 'plain copy', bytes, prepare: async () => ({ run: () => copy.run(material.stream) }) },
    { name: 'stream reader', bytes, prepare: async () => ({ run: () => readStream(material) }) },
    { name: 'encoder', bytes, prepare: async () => ({ run: () => encodeStream(material, known) }) },
    {
      name: 'passage', bytes,
      prepare: async () => ({
        run: async () => { processorSeconds = (await runPassage(material, table)).processorSeconds },
      }),
    },
    {
      name: 'whole handoff', bytes,
      prepare: async () => {
        const { run, forget } = await handoffs.prepare()
        return { run: async () => { last = await completed(run()) }, after: forget }
      },
    },
    { name: 'page ids', bytes: material.held.length, prepare: async () => ({ run: () => hashPages(material.held) }) },
    {
      name: 'ids by package', bytes: material.held.length,
      prepare: async () => ({ run: () => hashPages(material.held, packageHasher) }),
    },
    {
      name: 'resident pages', bytes: resident.pages * PAGE_BYTES,
      prepare: async () => ({ run: () => resident.run() }),
    },
  ]
  try {
    const measured = await measureInTurn(sides, init.rounds)
    const pagesPerSecond = (name: string): number =>
      measured.find((side) => side.name === name)!.bytesPerSecond.median / PAGE_BYTES
    const { qemuBytes, wireBytes, pages, refsFilledBy, digestMatched } = last!
    return {
      ...init,
      streamBytes: bytes,
      sides: measured,
      pagesPerSecond: {
        hashed: pagesPerSecond('page ids'),
        hashedByPackage: pagesPerSecond('ids by package'),
        resident: pagesPerSecond('resident pages'),
      },
      kernel: kernelInUse(),
      stateBytesPerPage: { prefixTable: table.bytes / table.size, census: handoffs.censusBytesPerPage },
      passageSecondsPerGb: processorSeconds / (bytes / 1e9),
      handoff: { qemuBytes, wireBytes, pages, refsFilledBy, digestMatched },
    }
  } finally {
    await handoffs.close()
    await copy.close()
    await resident.close()
    await rm(directory, { recursive: true, force: true })
  }
}

async function completed(handoff: Promise<HandoffResult>): Promise<HandoffResult> {
  const result = await handoff
  if (result.status !== 'completed') throw new Error(`the handoff ${result.status}: ${result.reason}`)
  return result
}
