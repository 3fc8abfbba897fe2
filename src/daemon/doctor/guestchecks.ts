/** The QEMUs of this host, and what is known of their pages. Pure. */
import type { ExaminedGuest } from '../../index.ts'
import type { Facts } from './facts.ts'
import { check, type Finding } from './finding.ts'

/** Guests that are told of one by one. */
const GUESTS_SHOWN_MAX = 64

export function judgeGuests(facts: Facts): Finding[] {
  const { agent: { examination } } = facts
  if (examination === null) return [...judgeHidden(facts), judgeSockets(facts), ...facts.sockets.map(judgeSocket)]
  const { guests, status: { held, unusable } } = examination
  return [
    ...(guests.length === 0 ? [judgeSockets(facts)] : []),
    ...guests.slice(0, GUESTS_SHOWN_MAX).flatMap((guest) => [judgeQemu(guest), judgeKnown(guest)]),
    ...unusable.map(({ path, reason }) => check('guest', path).broken(...splitReason(reason))),
    ...held.map(({ guest, why, from }) => check('held', guest).warning(`It is held here, paused: ${why}`,
      `Look at the copy on ${from}, then say \`pagemesh settle ${guest}\`.`)),
  ]
}

/** Of those the agent sees, it says itself what hinders it. */
function judgeHidden({ hiddenQemus }: Facts): Finding[] {
  if (hiddenQemus === 0) return []
  return [check('QEMUs').warning(`${hiddenQemus} QEMUs may not be looked at by this user.`,
    'Run the doctor as root or as the agent\'s user.')]
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
  if (qemus.length === 0 || agent.examination === null) return about.ok(`${there}.`)
  return about.warning(`${there}, and the agent has found none of its guests.`,
    'Give each QEMU a QMP socket at a path that `guests` has, or set `managed`.')
}

/** Where there is no agent that could say it of the guest. */
function judgeSocket({ path, qemuVersion, why }: Facts['sockets'][number]): Finding {
  const about = check('guest', path)
  return why === null ? about.ok(`QEMU ${qemuVersion} answers there.`) : about.broken(...splitReason(why))
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
