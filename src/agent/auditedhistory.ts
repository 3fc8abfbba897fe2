import type { Audit } from './audit.ts'
import type { History } from './history.ts'

/** Our error codes are short; another host may send a longer one. */
const CODE_CHARACTERS_MAX = 64

/** A history that also writes every handoff to the audit log. */
export function auditedHistory(history: History, audit: Pick<Audit, 'note'>): History {
  return {
    start: () => history.start(),
    list: () => history.list(),
    add: (result, about) => {
      const { direction, driver, manager } = about
      const { guest, from, to, mode, status, code } = result
      audit.note({
        event: 'handoff', direction, ...(driver === 'relay' ? { driver } : {}),
        ...(manager === undefined ? {} : { manager }), guest, from, to, mode, status,
        ...(code === undefined ? {} : { code: code.slice(0, CODE_CHARACTERS_MAX) }),
      })
      return history.add(result, about)
    },
  }
}
