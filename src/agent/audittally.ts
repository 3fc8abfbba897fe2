import type { InvitationNews, JoinRefusal } from '../mesh/index.ts'
import type { KeysNews } from '../rotation/index.ts'

/** Events of the audit log. */
export type AuditEvent =
  /** A handoff that ended, completed or not. */
  | {
    event: 'handoff'
    direction: 'outgoing' | 'incoming'
    /** Present if a manager told QEMU to migrate. */
    driver?: 'relay'
    manager?: string
    guest: string
    from: string
    to: string
    mode: string
    status: string
    code?: string
    count?: number
  }
  /** A member fetched pages of this host's guests and store. */
  | { event: 'pages'; member: string; peerId: string; pages: number }
  /** This host refused a guest that a member offered. */
  | { event: 'offer-refused'; member: string; guest: string; code: string; count?: number }
  /** A member was refused because its name belongs to another identity. */
  | { event: 'name-refused'; name: string; peerId: string; count?: number }
  /** An operator gave a name to another identity. */
  | { event: 'name-accepted'; name: string; peerId: string; before: string | null }
  /** A host was invited; a new host got the cluster key. */
  | Exclude<InvitationNews, { event: 'join-refused' }>
  /** A connection named an invitation and got no key. */
  | { event: 'join-refused'; invitation: string; from: string; why: JoinRefusal; count?: number }
  /** The cluster keys of this host were changed. */
  | KeysNews
  /** Peers that could not prove the cluster key. */
  | { event: 'strangers'; count: number }
  /** Number of lines that were dropped. */
  | { event: 'lost'; count: number }

/** Distinct repeatable events a minute, one line each; the rest are only counted. */
const KINDS_MAX = 256

/** Adds up repeated events, so that no member can flood the audit log. */
export class AuditTally {
  readonly #sums = new Map<string, AuditEvent>()
  #others = 0

  /** Adds up an event; false if the event must get its own line. */
  add(event: AuditEvent): boolean {
    const key = keyOf(event)
    if (key === undefined) return false
    const known = this.#sums.get(key)
    if (known !== undefined) increase(known, event)
    else if (this.#sums.size < KINDS_MAX) this.#sums.set(key, withCount(event))
    else this.#others += 1
    return true
  }

  /** The events added up since the last call. */
  take(): AuditEvent[] {
    const events = [...this.#sums.values()]
    if (this.#others > 0) events.push({ event: 'lost', count: this.#others })
    this.#sums.clear()
    this.#others = 0
    return events
  }
}

function keyOf(event: AuditEvent): string | undefined {
  switch (event.event) {
    case 'pages': return JSON.stringify([event.event, event.member, event.peerId])
    case 'offer-refused': return JSON.stringify([event.event, event.member, event.guest, event.code])
    case 'name-refused': return JSON.stringify([event.event, event.name, event.peerId])
    case 'strangers': return event.event
    // A member can install and remove as often as it likes.
    case 'key':
      return event.peerId === null ? undefined : JSON.stringify([event.event, event.step, event.key, event.peerId])
    case 'join-refused': return JSON.stringify([event.event, event.invitation, event.from, event.why])
    case 'handoff': {
      const { direction, status, guest, from, code } = event
      // A member can make offers that fail as often as it likes.
      const isRepeatable = direction === 'incoming' && status !== 'completed'
      return isRepeatable ? JSON.stringify([event.event, guest, from, code]) : undefined
    }
    default: return undefined
  }
}

function withCount(event: AuditEvent): AuditEvent {
  return event.event === 'pages' || event.event === 'strangers' ? { ...event } : { ...event, count: 1 } as AuditEvent
}

function increase(known: AuditEvent, event: AuditEvent): void {
  if (known.event === 'pages' && event.event === 'pages') known.pages += event.pages
  else if (known.event === 'strangers' && event.event === 'strangers') known.count += event.count
  else if ('count' in known) known.count = (known.count ?? 0) + 1
}
