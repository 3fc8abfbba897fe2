import { matchesGlob } from 'node:path'

import { PagemeshError } from '../runtime/errors.ts'

/** Which hosts may hand which guests to this one. Both are globs over whole names. */
export interface AcceptRule {
  guest: string
  from: string[]
}

/**
 * Throws PagemeshError `not-accepted` unless a rule lets `from` hand `guest` to this host; without rules every member
 * may. Pure.
 */
export function requireAllowed(
  rules: readonly AcceptRule[] | undefined, { guest, from, here }: { guest: string; from: string; here: string },
): void {
  const allows = (rule: AcceptRule): boolean =>
    matchesGlob(guest, rule.guest) && rule.from.some((glob) => matchesGlob(from, glob))
  if (rules === undefined || rules.some(allows)) return
  throw new PagemeshError('not-accepted', `no rule there lets ${from} hand over ${guest}.`, {
    fault: 'peer', phase: 'offer', data: { guest, from },
    advice: `To allow it, add \`{guest: ${JSON.stringify(guest)}, from: [${from}]}\` to \`accept\` in the ` +
      `configuration of ${here}, and restart its agent.`,
  })
}
