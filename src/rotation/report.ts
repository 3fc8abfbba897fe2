/** What an operator asks of a rotation, and is told. Pure. */
import { describeError, type PagemeshError } from '../runtime/errors.ts'
import type { KeyIds } from './rules.ts'

/** `without`: hosts that may be missing. `here`: the key is not sent to any member. */
export type RotationRequest =
  | { action: 'list' }
  | { action: 'install'; key: Uint8Array; here?: boolean; without?: string[] }
  | { action: 'use' | 'remove'; id: string; without?: string[] }

/** The cluster keys of a host, by id. */
export interface HostKeys {
  host: string
  /** Null: it did not answer. */
  used: string | null
  /** The one that is used first. */
  accepts: string[]
  /** Why it did not answer, or did not do what was asked; with what to do. */
  why: string | null
}

export interface KeysReport {
  /** The key that was installed, is used, or was removed; null: nothing was changed. */
  key: string | null
  /** This host first. */
  hosts: HostKeys[]
  /** Hosts whose names are known and that are not in the mesh now. */
  absent: string[]
  /** Every member answered and did what was asked, and no host was absent that `without` does not name. */
  complete: boolean
}

/** What one host answered at the end. */
export interface Answered {
  host: string
  ids: KeyIds | undefined
  error: PagemeshError | undefined
}

export function reportOf(
  request: RotationRequest, key: string | null, { answers, absent }: { answers: Answered[]; absent: string[] },
): KeysReport {
  const excused = request.action === 'list' ? absent : request.without ?? []
  const isHere = request.action === 'install' && request.here === true
  const missing = isHere ? [] : absent.filter((host) => !excused.includes(host))
  const counted = isHere ? answers.slice(0, 1) : answers
  const hosts = answers.map(({ host, ids, error }): HostKeys => ({
    host, used: ids?.[0] ?? null, accepts: [...ids ?? []], why: error === undefined ? null : describeError(error),
  }))
  const isDone = ({ ids, error }: Answered): boolean =>
    error === undefined && ids !== undefined && hasDone(request.action, key ?? '', ids)
  return { key, hosts, absent, complete: missing.length === 0 && counted.every(isDone) }
}

function hasDone(action: RotationRequest['action'], key: string, ids: KeyIds): boolean {
  switch (action) {
    case 'list': return true
    case 'install': return ids.includes(key)
    case 'use': return ids[0] === key
    case 'remove': return !ids.includes(key)
  }
}
