import { CORES_TO_SPARE_MIN } from '../host/cores.ts'
import type { MigrationMode } from './migration.ts'
import { asCount } from './qmpvalue.ts'

/** Most multifd channels. */
export const CHANNELS_MAX = 16
/** Number of multifd channels if there are processors for them. */
const SEVERAL = 4

/** A migration's connections besides the main one. */
export interface BesideChannels {
  /** Multifd channels, which then carry the pages; 0: the main channel carries them. */
  multifd: number
  /** Post-copy: urgent pages have their own channel. */
  preempt: boolean
}

export const MAIN_ONLY: BesideChannels = { multifd: 0, preempt: false }

export function countOfChannels({ multifd, preempt }: BesideChannels): number {
  return 1 + multifd + (preempt ? 1 : 0)
}

/** Whether `value` describes channels that this host can carry. */
export function areBesideChannels(value: unknown): value is BesideChannels {
  if (typeof value !== 'object' || value === null) return false
  const { multifd, preempt } = value as Record<string, unknown>
  const isCount = Number.isInteger(multifd) && (multifd as number) >= 0 && (multifd as number) <= CHANNELS_MAX
  return isCount && typeof preempt === 'boolean'
}

/** Whether this number of channels is possible: QEMU before 10.1 refuses multifd with post-copy. */
export function areChannelsPossible({ mode, channels = 1 }: { mode?: MigrationMode; channels?: number }): boolean {
  return mode !== 'postcopy' || channels === 1
}

/**
 * The channels of a migration. `count`: the operator's choice, 1 for the main channel alone; without it QEMU's setting
 * decides, and without that the number of processors. Post-copy has no multifd. Pure.
 */
export function besideChannels(
  { mode, count, cores }: { mode: MigrationMode; count: number | undefined; cores: number },
  capabilities: ReadonlyMap<string, boolean>, parameters: Record<string, unknown>,
): BesideChannels {
  if (mode === 'postcopy') {
    return { multifd: 0, preempt: count === undefined && capabilities.get('postcopy-preempt') === true }
  }
  if (!capabilities.has('multifd')) return MAIN_ONLY
  if (count !== undefined) return { multifd: count === 1 ? 0 : Math.min(count, CHANNELS_MAX), preempt: false }
  if (capabilities.get('multifd') === true) {
    return { multifd: Math.min(Math.max(1, asCount(parameters['multifd-channels'])), CHANNELS_MAX), preempt: false }
  }
  return { multifd: cores >= CORES_TO_SPARE_MIN ? SEVERAL : 0, preempt: false }
}

/** Settings of both QEMUs for these channels; without QEMU's compression, so that the agent finds each page. */
export function channelSettings({ multifd, preempt }: BesideChannels): {
  capabilities: Record<string, boolean>; parameters: Record<string, unknown>
} {
  if (multifd === 0) return { capabilities: { multifd: false, 'postcopy-preempt': preempt }, parameters: {} }
  return {
    capabilities: { multifd: true, 'postcopy-preempt': preempt, xbzrle: false },
    parameters: { 'multifd-channels': multifd, 'multifd-compression': 'none' },
  }
}
