import { CORES_TO_SPARE_MIN } from '../host/cores.ts'
import type { MigrationMode } from './migration.ts'
import { asCount } from './qmpvalue.ts'

/** The most multifd channels that are carried. */
export const CHANNELS_MAX = 16
/** Over so many channels a stream is spread where there are processors for them. */
const SEVERAL = 4

/** What connections a migration has beside its main one. */
export interface BesideChannels {
  /** Multifd channels, over which the pages go then; 0: they go over the main channel. */
  multifd: number
  /** Post-copy: urgent pages have a channel of their own. */
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

/** Whether a migration can have so many channels for its pages: QEMU before 10.1 refuses multifd with post-copy. */
export function areChannelsPossible({ mode, channels = 1 }: { mode?: MigrationMode; channels?: number }): boolean {
  return mode !== 'postcopy' || channels === 1
}

/**
 * The channels of a migration. `count` is what its operator asks for, 1 for the main channel alone; without it what is
 * set in QEMU holds, and where nothing is, many processors mean several channels. Post-copy has no multifd. Pure.
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

/** What either QEMU is set to for these channels; QEMU encodes no page of them, so that each can be found. */
export function channelSettings({ multifd, preempt }: BesideChannels): {
  capabilities: Record<string, boolean>; parameters: Record<string, unknown>
} {
  if (multifd === 0) return { capabilities: { multifd: false, 'postcopy-preempt': preempt }, parameters: {} }
  return {
    capabilities: { multifd: true, 'postcopy-preempt': preempt, xbzrle: false },
    parameters: { 'multifd-channels': multifd, 'multifd-compression': 'none' },
  }
}
