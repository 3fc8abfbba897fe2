/** How the lab moves a guest between two agents, and what must be so where it arrives. */
import type { MigrationMode } from '../src/index.ts'
import type { MigrateOutcome } from './agent.ts'
import type { LabCluster } from './cluster.ts'
import { compareMemory } from './machine/memory.ts'
import { stateOf, type LabGuest } from './machine/qemu.ts'
import { moveStopping, type StandstillOptions } from './standstill.ts'

export interface AgentMove {
  guest: LabGuest
  from: string
  to: string
  mode: MigrationMode
  /** Given for one that its operator stops on its way, so that it arrives paused and can be compared. */
  standstill?: Omit<StandstillOptions, 'mode'> | undefined
  /** Further words for `pagemesh migrate`. */
  words?: readonly string[]
}

/** What became of a guest's memory on its way. */
export interface ArrivedMemory {
  comparedBytes: number
  /** In words what is not as it should be; none if all is. */
  differences: string[]
}

/** Moves a guest as an operator would, to a QEMU that waits for it: `pagemesh migrate`. Judges nothing. */
export async function moveByAgent(
  cluster: Pick<LabCluster, 'agent'>, { guest, from, to, mode, standstill, words = [] }: AgentMove,
): Promise<MigrateOutcome> {
  const migrate = () => cluster.agent(from).migrate(guest.name, to, '--mode', mode, ...words)
  return await (standstill === undefined ? migrate() : moveStopping(guest, { ...standstill, mode }, migrate))
}

/** Compares a guest that stands still at both ends of its move byte for byte, then lets it go on where it arrived. */
export async function compareArrived(
  source: LabGuest, arrived: LabGuest, without: readonly string[] = [],
): Promise<ArrivedMemory> {
  // A QEMU that does not answer has ended: the states below say so.
  const states = await Promise.all([source, arrived].map((guest) => stateOf(guest).catch(() => 'gone')))
  if (states[0] !== 'postmigrate' || states[1] !== 'paused') {
    return { comparedBytes: 0, differences: [`the source is ${states[0]}, the destination ${states[1]}`] }
  }
  const { comparedBytes, differences } = await compareMemory(source, arrived, without)
  await arrived.qmp.execute('cont')
  return {
    comparedBytes,
    differences: differences.map(({ block, pages, firstOffset }) =>
      `${pages} pages of ${block} differ, the first at ${firstOffset}`),
  }
}
