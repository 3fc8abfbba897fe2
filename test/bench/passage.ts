/**
 * A whole passage of the material, both ends in this process over memory: the agents' own cost, without sockets and
 * QEMU. Measured in processor time of all threads, which is scarce on a host full of guests.
 */
import { createLanePair } from '../../src/mesh/memory/memorylane.ts'
import { createEndpointPair } from '../../src/net/endpoint.ts'
import { ID_BYTES, PAGE_BYTES, type PageSource, type PrefixTable } from '../../src/page/index.ts'
import { IncomingPassage, OutgoingPassage, type IncomingPassageCounts } from '../../src/passage/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import type { Material } from './material.ts'
import { hasher, prefixesOf } from './parts.ts'

export interface PassageOutcome extends IncomingPassageCounts {
  processorSeconds: number
}

/** Throws if a byte differs. */
export async function runPassage({ stream, held }: Material, table: PrefixTable): Promise<PassageOutcome> {
  const [near, far] = createLanePair({ clock: systemClock })
  const [source, sourceAgent] = createEndpointPair()
  const [destinationAgent, destination] = createEndpointPair()
  const begunAt = process.cpuUsage()
  const outgoingEnded = Promise.withResolvers<void>()
  const incomingEnded = Promise.withResolvers<void>()
  new OutgoingPassage({ clock: systemClock, hasher, lane: near, qemu: sourceAgent }, {
    known: prefixesOf(table), compression: 'auto', bytesPerSecondMax: Infinity,
    listener: {
      mark: () => {}, runState: () => {}, lost: () => {}, streamEnded: () => {}, returnEnded: () => {},
      ended: outgoingEnded.resolve, failed: outgoingEnded.reject,
    },
  })
  const incoming = new IncomingPassage(
    { clock: systemClock, hasher, lane: far, qemu: destinationAgent, sources: [heldSource(held, table)] },
    { listener: { ended: incomingEnded.resolve, failed: incomingEnded.reject } },
  )
  let at = 0
  let differs = false
  destination.receive((bytes) => {
    differs ||= Buffer.compare(bytes, stream.subarray(at, at + bytes.length)) !== 0
    at += bytes.length
  }, () => destination.end())
  source.receive(() => {}, () => {})
  const writing = source.write(stream).then(() => source.end())
  await Promise.all([writing, outgoingEnded.promise, incomingEnded.promise])
  if (differs || at !== stream.length) throw new Error('the passage changed the stream')
  const { user, system } = process.cpuUsage(begunAt)
  return { ...incoming.counts(), processorSeconds: (user + system) / 1e6 }
}

/** Pages in memory, found by their prefixes. */
function heldSource(held: Buffer, table: PrefixTable): PageSource {
  return {
    kind: 'resident',
    async fill(batch) {
      const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
      for (let ref = 0; ref < batch.count; ref++) {
        const number = table.get(ids.readUInt32BE(ref * ID_BYTES), ids.readUInt32BE(ref * ID_BYTES + 4))
        if (number === -1 || batch.isFilled(ref)) continue
        held.copy(batch.bytes, ref * PAGE_BYTES, number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
        batch.markFilled(ref, 'resident')
      }
    },
  }
}
