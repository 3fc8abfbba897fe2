import type { IncomingRecordedAs, OutgoingRecordedAs, RunState } from '../conversation/index.ts'
import { isAlive, type MigrationMode, type ProcessIdentity, type SettingsUndo } from '../guest/index.ts'
import { isKnowledgeData, type StreamKnowledgeData } from '../qemu/index.ts'

/** The record of an unsettled handoff on disk: after a restart this host can still answer for it. */
export type Unsettled =
  | ({ role: 'outgoing'; as: OutgoingRecordedAs; knowledge?: StreamKnowledgeData } & UnsettledCommon)
  | ({ role: 'incoming'; as: IncomingRecordedAs } & UnsettledCommon)

interface UnsettledCommon {
  guest: string
  /** Name of the other host. */
  other: string
  mode: MigrationMode
  runState: RunState
  /** The guest's process; absent for guests without one. */
  process?: ProcessIdentity
  /** QEMU settings to restore. */
  undo?: SettingsUndo
}

const AS: Record<Unsettled['role'], readonly string[]> = {
  outgoing: ['moving', 'given-up', 'taking-back', 'held', 'kept', 'cut', 'orphaned'] satisfies OutgoingRecordedAs[],
  incoming: ['loading', 'loaded', 'unfit', 'broken', 'arrived', 'cut'] satisfies IncomingRecordedAs[],
}

/** Parses a record; undefined for anything else. Pure. */
export function readUnsettled(value: unknown): Unsettled | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const record = value as Record<string, unknown>
  const { role, as, guest, other, mode, runState, process, undo, knowledge } = record
  if (role !== 'outgoing' && role !== 'incoming') return undefined
  if (![as, guest, other, runState].every((text) => typeof text === 'string') || !AS[role].includes(as as string)) {
    return undefined
  }
  if (mode !== 'precopy' && mode !== 'postcopy') return undefined
  if (process !== undefined && !isProcess(process)) return undefined
  if (undo !== undefined && (typeof undo !== 'object' || undo === null)) return undefined
  if (knowledge !== undefined && !isKnowledgeData(knowledge)) return undefined
  return value as Unsettled
}

function isProcess(value: unknown): boolean {
  const { pid, startTicks } = (value ?? {}) as Record<string, unknown>
  return typeof pid === 'number' && typeof startTicks === 'number'
}

/** Whether the guest that a record is about may still be there. */
export function mayLive({ process }: Unsettled): boolean {
  return process === undefined || isAlive(process)
}
