import type { Beginning } from './firstbytes.ts'

/** A migration that runs, as far as it tells which connections are its own. */
export interface RunningRelay {
  /** The process that made its first connection; undefined if that cannot be told. */
  pid: number | undefined
  /** The domain's, as its first multifd channel told it. */
  uuid: string | undefined
  /** Its guest may run at the destination by now: urgent pages get a connection of their own. */
  isPostcopy: boolean
}

/**
 * To which of the migrations that run to an address a connection belongs that comes there now, by its first bytes and
 * the process that made it; undefined: it begins one. `running` has the one that began last at its end. Pure.
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

/** Whether it is clear without a look at its first bytes to which it belongs: those of urgent pages come late. Pure. */
export function urgentOf<Relay extends RunningRelay>(
  running: readonly Relay[], pid: number | undefined,
): Relay | undefined {
  return running.findLast((relay) => relay.isPostcopy && pid !== undefined && relay.pid === pid)
}
