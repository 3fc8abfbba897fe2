/**
 * The demonstration: one guest moves there and back three times, over the same link, beside the same neighbours.
 *
 *   host a: web (moves), idle        host b: database        host c: an agent without guests
 *
 *   Pagemesh     a --- pre-copy --> b     b --- post-copy --> a     running all the time: for the figures
 *   Pagemesh     a --- pre-copy --> b     b --- post-copy --> a     stopped on its way: to compare its memory
 *   QEMU alone   a --- pre-copy --> b     b --- post-copy --> a     paused after its arrival: for both
 *
 * Every guest is the same Debian with different work. The neighbours are idle, so that a small machine's two cores are
 * not the bottleneck.
 */
import { systemClock } from '../../src/runtime/clock.ts'
import { chooseAccelerator, ensureImage, type LabCluster, type LabGuest } from '../index.ts'
import { moveGuest, type Move, type MoveRequest } from './move.ts'
import type { Progress } from './progress.ts'

export const HOSTS = ['a', 'b', 'c'] as const
export const LINK_BYTES_PER_SECOND = 125e6

const TRAVELLER = { name: 'web', work: 'web' } as const
const NEIGHBOURS = [
  { host: 'a', options: { name: 'idle', work: 'idle' } },
  { host: 'b', options: { name: 'database', work: 'database' } },
] as const

const ROUNDS: readonly Pick<MoveRequest, 'by' | 'isCompared'>[] = [
  { by: 'Pagemesh', isCompared: false }, { by: 'Pagemesh', isCompared: true }, { by: 'QEMU alone', isCompared: true },
]
const LEGS: readonly Pick<MoveRequest, 'from' | 'to' | 'mode'>[] = [
  { from: 'a', to: 'b', mode: 'precopy' }, { from: 'b', to: 'a', mode: 'postcopy' },
]

/**
 * Boots the guests and makes all moves; resolves to one move per way, with the figures of the first time and the bytes
 * found equal. Throws any failure; the caller cleans up.
 */
export async function makeJourney(components: { cluster: LabCluster; progress: Progress }): Promise<Move[]> {
  const { cluster, progress } = components
  let guest = await bootGuests(cluster, progress)
  await progress.step('every agent sees the others and has scanned its guests', () => cluster.settled())
  const moves: Move[] = []
  for (const round of ROUNDS) {
    for (const leg of LEGS) {
      const { move, arrived } = await moveGuest(components, { guest, options: TRAVELLER, ...round, ...leg })
      const first = moves.find(({ by, mode }) => by === move.by && mode === move.mode)
      if (first === undefined) moves.push(move)
      else if (move.equalBytes !== undefined) first.equalBytes = move.equalBytes
      guest = arrived
    }
  }
  return moves
}

async function bootGuests(cluster: LabCluster, progress: Progress): Promise<LabGuest> {
  progress.say('Guests: Debian bookworm with its cloud kernel, 512 MiB each, no network:')
  progress.say('  web       on a: nginx serves the system\'s documentation to a local client; this one moves')
  progress.say('  idle      on a: nginx and redis, nothing to do')
  progress.say('  database  on b: redis with 40000 random customer records, 200 requests a second')
  progress.say('Pagemesh moves it twice each way: running, for the figures; stopped on its way, to compare its memory.')
  const accelerator = await progress.step('trying KVM', async () =>
    await chooseAccelerator(await ensureImage(), systemClock))
  progress.say(accelerator === 'kvm' ? 'QEMU runs them on KVM' : 'QEMU emulates them: KVM does not run here')
  const traveller = await cluster.startGuest('a', TRAVELLER)
  const neighbours: LabGuest[] = []
  for (const { host, options } of NEIGHBOURS) neighbours.push(await cluster.startGuest(host, options))
  await progress.step(accelerator === 'kvm' ? 'booting them' : 'booting them (a minute or so)', async () => {
    await Promise.all([traveller, ...neighbours].map((guest) => guest.ready()))
  })
  return traveller
}
