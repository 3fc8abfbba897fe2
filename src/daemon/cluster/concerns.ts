import type { ClusterView, HostSummary } from '../../index.ts'
import { formatBytes, formatDuration } from '../../text/units.ts'
import { pastOf } from './past.ts'

/** A host that takes longer than this to settle is worth a look: guests are scanned and pages fetched in minutes. */
const UNSETTLED_MS_MAX = 15 * 60_000
/** A store is full where no page more fits; its slabs may leave a little room. */
const FULL_SHARE = 0.99
const PAST_MAX = 200

/** Something that somebody should know of, and what to do about it. */
export interface Concern {
  level: 'danger' | 'warning' | 'note'
  /** Whom it concerns: a host, or a guest on one. */
  about: string
  what: string
  advice: string
}

/** What is not well in a cluster, the worst first. */
export function concernsOf(view: ClusterView): Concern[] {
  return [
    ...view.hosts.flatMap(heldConcerns), ...digestConcerns(view), ...silentConcerns(view),
    ...view.hosts.flatMap(damageConcern), ...view.hosts.flatMap(unsettledConcern), ...versionConcern(view),
    ...view.hosts.flatMap(fullConcern),
  ]
}

function heldConcerns({ host, held }: HostSummary): Concern[] {
  return held.map(({ guest, from, sinceMs, why, isOpen }) => ({
    level: 'danger', about: `${guest} on ${host}`,
    what: `Held for ${formatDuration(sinceMs)}, it came from ${from}: ${why}`,
    advice: isOpen
      ? `Look at the copy on ${from}, then decide on ${host}: pagemesh settle ${guest} --run, or --end.`
      : `See pagemesh status on ${host}: there is nothing to decide yet.`,
  }))
}

function digestConcerns(view: ClusterView): Concern[] {
  return pastOf(view, PAST_MAX).flatMap(({ guest, from, to, endedAt, status, digestMatched, code }): Concern[] => {
    const advice = `Check the memory of ${from} and ${to}; see pagemesh history on both.`
    if (code === 'digest-mismatch') {
      return [{
        level: 'warning', about: `${guest} from ${from} to ${to}`, advice,
        what: `Its handoff failed at ${endedAt}: the digests differed, so nothing was released at ${to}.`,
      }]
    }
    if (status !== 'completed' || digestMatched !== false) return []
    const what = `Its handoff from ${from} completed at ${endedAt} without a digest that matched.`
    return [{ level: 'danger', about: `${guest} on ${to}`, what, advice: `Check the guest. ${advice}` }]
  })
}

function silentConcerns({ silent }: ClusterView): Concern[] {
  return silent.map(({ host, why }) => ({
    level: 'warning', about: host, what: `It does not answer: ${why}`,
    advice: 'Look at its agent (systemctl status pagemesh) and its network. Agents of older versions cannot answer.',
  }))
}

function damageConcern({ host, store: { damagedPages } }: HostSummary): Concern[] {
  if (damagedPages === 0) return []
  return [{
    level: 'warning', about: host, what: `Its store had ${damagedPages} damaged pages. None of them was used.`,
    advice: 'Check the disk below store.path. The store fills itself again.',
  }]
}

function unsettledConcern({ host, unsettledMs }: HostSummary): Concern[] {
  if (unsettledMs < UNSETTLED_MS_MAX) return []
  return [{
    level: 'warning', about: host, what: `It has not been settled for ${formatDuration(unsettledMs)}.`,
    advice: 'Guests are still scanned, or pages fetched. If it stays so, raise census.pagesPerSecond or ' +
      'swap.maxBandwidth, or see its log.',
  }]
}

function versionConcern({ hosts }: ClusterView): Concern[] {
  const byVersion = Map.groupBy(hosts, ({ version }) => version)
  if (byVersion.size < 2) return []
  const list = [...byVersion].map(([version, those]) => `${version} on ${those.map(({ host }) => host).join(', ')}`)
  return [{
    level: 'warning', about: 'Versions differ', what: `${list.join('; ')}.`,
    advice: 'Bring all hosts to the same version.',
  }]
}

function fullConcern({ host, store: { bytes, maxBytes } }: HostSummary): Concern[] {
  if (maxBytes === 0 || bytes < maxBytes * FULL_SHARE) return []
  return [{
    level: 'note', about: host, what: `Its store is full (${formatBytes(maxBytes)}): popular pages replace others.`,
    advice: 'Raise store.maxBytes where the disk has room.',
  }]
}
