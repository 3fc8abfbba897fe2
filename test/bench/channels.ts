/**
 * Passages in parallel, as in a migration over several channels: each end in its own thread, over sockets and TLS, if
 * the kernel can hand connections over; otherwise all in one thread.
 */
import { formatBytes } from '../../src/index.ts'
import type { PageSource } from '../../src/page/index.ts'
import { ThreadPlace } from '../unit/passage/worker/threadrelay.ts'
import type { Material } from './material.ts'

export interface ChannelsOutcome {
  channels: number
  /** Bytes of stream a second, over all channels. */
  bytesPerSecond: number
  /** Processor time per GB of stream: both ends of all passages, and the stand-ins for both QEMUs. */
  processorSecondsPerGb: number
}

/** Each channel carries the whole material, uncompressed. Throws if bytes are lost. */
export async function runChannelsBench({ stream }: Material, counts: readonly number[]): Promise<ChannelsOutcome[]> {
  const outcomes: ChannelsOutcome[] = []
  for (const channels of counts) {
    const place = await new ThreadPlace({ outgoing: channels, incoming: channels }).start()
    try {
      await carry(place, channels, stream)
      const begunAt = performance.now()
      const before = process.cpuUsage()
      await carry(place, channels, stream)
      const { user, system } = process.cpuUsage(before)
      const gigabytes = channels * stream.length / 1e9
      outcomes.push({
        channels,
        bytesPerSecond: channels * stream.length / (performance.now() - begunAt) * 1000,
        processorSecondsPerGb: (user + system) / 1e6 / gigabytes,
      })
    } finally {
      await place.stop()
    }
  }
  return outcomes
}

/** The part of the report for people. Pure. */
export function formatChannels(outcomes: readonly ChannelsOutcome[]): string {
  return [
    'Passages side by side, each end in a thread, over sockets and TLS, all pages as they are:',
    ...outcomes.map(({ channels, bytesPerSecond, processorSecondsPerGb }) =>
      `  ${String(channels).padEnd(16)} ${formatBytes(bytesPerSecond)}/s, ` +
        `${processorSecondsPerGb.toFixed(2)} s of processor time a GB`),
  ].join('\n')
}

const NO_SOURCES: readonly PageSource[] = []

async function carry(place: ThreadPlace, channels: number, stream: Uint8Array): Promise<void> {
  const relays = await Promise.all(Array.from({ length: channels }, () =>
    place.relay({ init: { compression: 'never' }, sources: NO_SOURCES, isReading: false })))
  await Promise.all(relays.map(async ({ outgoing, incoming }) => {
    const ended = Promise.withResolvers<void>()
    let received = 0
    incoming.qemu.endpoint.receive((bytes) => { received += bytes.length }, () => {
      incoming.qemu.endpoint.end()
      ended.resolve()
    })
    await outgoing.qemu.endpoint.write(stream)
    outgoing.qemu.endpoint.end()
    await ended.promise
    await Promise.all([outgoing.endpoint.closed, incoming.endpoint.closed])
    if (received !== stream.length) throw new Error(`${received} bytes came of ${stream.length}`)
  }))
}
