import type { Beginning } from './firstbytes.ts'

/** A running migration, with what tells its connections from others'. */
export interface RunningRelay {
  /** The process that made its first connection; undefined if unknown. */
  pid: number | undefined
  /** The domain's UUID, from the migration's first multifd channel. */
  uuid: string | undefined
  /** Its guest may already run at the destination: urgent pages get a connection of their own. */
  isPostcopy: boolean
}

/**
 * The running migration to which a new connection belongs, by its first bytes and the process that made it; undefined:
 * it begins one. `running` lists the migrations to the same address, the latest last. Pure.
 */
export function relayOf<Relay extends RunningRelay>(
  running: readonly Relay[], { beginning, pid }: { beginning: Beginning; pid: number | undefined },
): Relay | undefined {
  if (beginning.kind === 'main' || beginning.kind === 'resumed') return undefined
  const ofProcess = running.filter((relay) => relay.pid === undefined || pid === undefined || relay.pid === pid)
  if (beginning.kind === 'other') return (ofProcess.length > 0 ? ofProcess : running).at(-1)
  const { uuid } = beginning
  return running.findLast((relay) => relay.uuid === uuid) ??
    ofProcess.findLast((relay) => relay.uuid === undefined) ??
    running.findLast((relay) => relay.uuid === undefined)
}

/** The migration of an urgent channel, known without its first bytes, which come late. Pure. */
export function urgentOf<Relay extends RunningRelay>(
  running: readonly Relay[], pid: number | undefined,
): Relay | undefined {
  return running.findLast((relay) => relay.isPostcopy && pid !== undefined && relay.pid === pid)
}
