import { INVITATION_LIMITS, type Invitations } from '../mesh/index.ts'
import { isoTime, type Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'

export interface InviteRequest {
  /** How long the token is good, ms: 1 s to 7 days. */
  ttlMs: number
  /** How many hosts may join with it: 1 to 100. */
  uses: number
}

/** What the operator carries to the new host. */
export interface Invitation {
  /** Whoever has it can join: a secret. */
  token: string
  /** `host:port` where the new host reaches this one. */
  address: string
  /** ISO 8601, UTC. */
  expiresAt: string
  uses: number
}

/** Throws PagemeshError `bad-option`, `busy`, or `mesh-stopped` while this host is not in the mesh. */
export function invite(components: { clock: Clock; invitations: Invitations }, request: InviteRequest): Invitation {
  const { clock, invitations } = components
  const { ttlMs, uses } = request
  const { ttlMsMin, ttlMsMax, usesMax } = INVITATION_LIMITS
  if (!(ttlMs >= ttlMsMin && ttlMs <= ttlMsMax)) throw badInvitation('is good for 1 s to 7 days')
  if (!(Number.isInteger(uses) && uses >= 1 && uses <= usesMax)) throw badInvitation(`has 1 to ${usesMax} uses`)
  const { address } = invitations
  if (address === undefined) {
    throw new PagemeshError('mesh-stopped', 'This host is not in the mesh.', {
      fault: 'usage', advice: 'Start its agent first.',
    })
  }
  return { ...invitations.open({ ttlMs, uses }), address, expiresAt: isoTime(clock.wallTime() + ttlMs), uses }
}

function badInvitation(rule: string): PagemeshError {
  return new PagemeshError('bad-option', `An invitation ${rule}.`, { fault: 'usage' })
}
