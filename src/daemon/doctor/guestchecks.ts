/** The QEMUs of this host, and what is known of their pages. Pure. */
import type { ExaminedGuest } from '../../index.ts'
import { RIGHTS_ADVICE } from '../../host/rights.ts'
import type { Facts } from './facts.ts'
import { check, type Finding } from './finding.ts'

/** Guests that are told of one by one. */
const GUESTS_SHOWN_MAX = 64

export function judgeGuests(facts: Facts): Finding[] {
  const { agent: { examination } } = facts
  const hidden = facts.hiddenQemus === 0 ? [] : [check('QEMUs').broken(
    `${facts.hiddenQemus} QEMUs may not be looked at.`, RIGHTS_ADVICE)]
  if (examination === null) return [...hidden, judgeSockets(facts)]
  const { guests, status: { held, unusable } } = examination
  return [
    ...hidden,
    ...(guests.length === 0 ? [judgeSockets(facts)] : []),
    ...guests.slice(0, GUESTS_SHOWN_MAX).flatMap((guest) => [judgeQemu(guest), judgeKnown(guest)]),
    ...unusable.map(({ path, reason }) => check('guest', path).broken(...splitReason(reason))),
    ...held.map(({ guest, why, from }) => check('held', guest).warning(`It is held here, paused: ${why}`,
      `Look at the copy on ${from}, then say \`pagemesh settle ${guest}\`.`)),
  ]
}

/** A reason says what is wrong in its first sentence, and in the rest what to do. */
function splitReason(reason: string): [string, string] {
  const end = /[.!?] (?=[A-Z])/.exec(reason)?.index
  if (end === undefined) return [reason, '`pagemesh status` and the log of the agent say more.']
  return [reason.slice(0, end + 1), reason.slice(end + 2)]
}

function judgeSockets({ sockets, qemus, configuration, agent }: Facts): Finding {
  const about = check('guests')
  const { guests = [], managed = 'off' } = configuration.config?.agentOptions ?? {}
  const there = `${sockets.length} QMP sockets and ${qemus.length} QEMUs are there`
  if (configuration.config !== null && guests.length === 0 && managed === 'off') {
    return about.warning(`${there}, and the configuration names no guests.`, 'Set `guests`, or `managed`.')
  }
  if (qemus.length === 0) return about.ok(`${there}.`)
  if (agent.examination === null) return about.ok(`${there}; the agent says of each whether it can use it.`)
  return about.warning(`${there}, and the agent has found none of its guests.`,
    'Give each QEMU a QMP socket at a path that `guests` has, or set `managed`.')
}

function judgeQemu({ name, path, qemuVersion, why }: ExaminedGuest): Finding {
  const about = check('guest', name)
  if (why !== null) return about.warning(...splitReason(why))
  if (path === null) return about.ok('Its manager moves it: it has no QMP socket for the agent.')
  return about.ok(`QEMU ${qemuVersion} at ${path}.`)
}

function judgeKnown({ name, known: { lookedAt, popular, byHost } }: ExaminedGuest): Finding {
  const about = check('known pages', name)
  if (lookedAt === 0) return about.ok('Nothing is known yet: it has not been scanned.')
  const share = (pages: number): string => `${Math.round(pages / lookedAt * 100)} %`
  const where = Object.entries(byHost).sort((a, b) => b[1] - a[1])
    .map(([host, pages]) => `at least ${share(pages)} at ${host}`)
  return about.ok(`${share(popular)} of its distinct pages are known to be on several hosts${
    where.length === 0 ? '' : `: ${where.join(', ')}`}.`)
}
