import type { AuditRecord } from '../index.ts'
import { alignColumns } from './table.ts'

/** The audit log as text, in the order given. Pure. */
export function renderAudit(records: readonly AuditRecord[]): string {
  if (records.length === 0) return 'The audit log of this host is empty.'
  return alignColumns(records.map((record) => [record.at.replace(/\.\d+Z$/, 'Z'), sentenceOf(record)]))
}

function sentenceOf(record: AuditRecord): string {
  switch (record.event) {
    case 'handoff': {
      const { guest, from, to, mode, status, code, count } = record
      const why = code === undefined ? '' : `, ${code}`
      return `${guest} from ${from} to ${to} (${mode}): ${status}${why}${times(count)}`
    }
    case 'pages': return `${record.member} (${record.peerId}) fetched ${record.pages} pages`
    case 'offer-refused': return `refused ${record.guest} from ${record.member}: ${record.code}${times(record.count)}`
    case 'name-refused':
      return `refused ${record.peerId} under the name ${record.name}, which is another's${times(record.count)}`
    case 'name-accepted':
      return `an operator gave the name ${record.name} to ${record.peerId}, before: ${record.before ?? 'nobody'}`
    case 'invited':
      return `made the invitation ${record.invitation}, ${record.uses} times, for ${record.ttlMs / 1000} s`
    case 'joined':
      return `gave the cluster key to ${record.name} at ${record.from}, by the invitation ${record.invitation}`
    case 'join-refused':
      return `refused ${record.from} the invitation ${record.invitation}: ${record.why}${times(record.count)}`
    case 'key': {
      const done = { install: 'installed', use: 'taken into use', remove: 'removed' }[record.step]
      return `the cluster key ${record.key} was ${done}, by ${record.by}${times(record.count)}`
    }
    case 'strangers': return `${record.count} strangers were dropped`
    case 'lost': return `${record.count} records were dropped`
  }
}

function times(count: number | undefined): string {
  return count === undefined || count === 1 ? '' : `, ${count} times`
}
