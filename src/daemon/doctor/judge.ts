import { judgeAgent } from './agentchecks.ts'
import type { Facts } from './facts.ts'
import type { Finding } from './finding.ts'
import { judgeGuests } from './guestchecks.ts'
import { judgeHost } from './hostchecks.ts'
import { judgePeers } from './peerchecks.ts'

/** What the facts mean for an operator, in the order in which one would look. Pure. */
export function judge(facts: Facts): Finding[] {
  return [...judgeAgent(facts), ...judgeHost(facts), ...judgePeers(facts), ...judgeGuests(facts)]
}
