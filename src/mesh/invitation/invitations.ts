import { toString } from 'uint8arrays/to-string'

import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import type { Random } from '../../runtime/random.ts'
import type { KeyRing } from '../keyring.ts'
import type { GivenKeys } from './exchange.ts'
import { encodeToken, markOf, TOKEN_BYTES } from './token.ts'

export const INVITATION_LIMITS = {
  /** Open invitations; with more, another is refused. */
  open: 64,
  /** Invitations remembered, used up and expired ones too: only so can their holders learn why they are refused. */
  known: 256,
  /** How long one that is over is remembered, ms. */
  rememberedMs: 24 * 3_600_000,
  ttlMsMin: 1_000,
  ttlMsMax: 7 * 24 * 3_600_000,
  usesMax: 100,
} as const

/** Why a connection that proved the token got no key: it is told. */
export type ToldRefusal = 'used' | 'expired' | 'name-taken' | 'malformed'
/** Why a connection that named an invitation got no key. */
export type JoinRefusal = ToldRefusal | 'unproven' | 'too-many'

/** What became of an invitation. `invitation` is the beginning of its id, which is no secret. */
export type InvitationNews =
  | { event: 'invited'; invitation: string; uses: number; ttlMs: number }
  | { event: 'joined'; invitation: string; name: string; from: string }
  | { event: 'join-refused'; invitation: string; from: string; why: JoinRefusal }

interface Invitation {
  secret: Uint8Array
  /** Id of the cluster key that was used when it was made: the token has its mark. */
  keyId: string
  expiresAt: number
  usesLeft: number
}

/**
 * The invitations of this host. They are in memory alone: a restart of the agent ends them. Secrets leave only in the
 * token, and for the handshake.
 */
export class Invitations {
  readonly #clock: Clock
  readonly #random: Random
  readonly #keys: Pick<KeyRing, 'all' | 'used' | 'find'>
  readonly #known = new Map<string, Invitation>()
  readonly #counts = { joined: 0, refused: 0 }
  /** `host:port` where newcomers reach this host; undefined while it is not in the mesh. */
  address: string | undefined
  onNews: (news: InvitationNews) => void = () => {}

  constructor(components: { clock: Clock; random: Random }, init: { keys: Pick<KeyRing, 'all' | 'used' | 'find'> }) {
    this.#clock = components.clock
    this.#random = components.random
    this.#keys = init.keys
  }

  /** Throws PagemeshError `busy` with too many open ones. */
  open({ ttlMs, uses }: { ttlMs: number; uses: number }): { token: string } {
    this.#forget()
    if (this.counts.open >= INVITATION_LIMITS.open) throw tooMany()
    const id = toString(this.#random.bytes(TOKEN_BYTES.id), 'hex')
    const secret = this.#random.bytes(TOKEN_BYTES.secret)
    const { id: keyId, clusterKey } = this.#keys.used
    this.#known.set(id, { secret, keyId, expiresAt: this.#clock.now() + ttlMs, usesLeft: uses })
    this.onNews({ event: 'invited', invitation: shownId(id), uses, ttlMs })
    return { token: encodeToken({ id, secret, mark: markOf(clusterKey) }) }
  }

  /** Open now; since start, newcomers that got the key, and connections that named an invitation and got none. */
  get counts(): { open: number; joined: number; refused: number } {
    const open = [...this.#known.values()].filter((invitation) => this.#isOpen(invitation)).length
    return { open, ...this.#counts }
  }

  /** Of an invitation that is over too: whoever proves it learns that it is over. */
  secretOf(id: string): Uint8Array | undefined {
    return this.#known.get(id)?.secret
  }

  /** Spends one use for a newcomer that proved the token: the cluster keys, or why it gets none, and spends none. */
  redeem(id: string, newcomer: { name: string; from: string }, isTaken: boolean): GivenKeys | ToldRefusal {
    const invitation = this.#known.get(id)
    if (invitation?.usesLeft === 0) return this.refuse(id, newcomer.from, 'used')
    // One that was forgotten meanwhile was over.
    if (invitation === undefined || !this.#isOpen(invitation)) return this.refuse(id, newcomer.from, 'expired')
    const given = this.#keysFor(invitation)
    // Its token has the mark of a key that was removed since: the newcomer would take any other for a false one.
    if (given === undefined) return this.refuse(id, newcomer.from, 'expired')
    if (isTaken) return this.refuse(id, newcomer.from, 'name-taken')
    invitation.usesLeft -= 1
    this.#counts.joined += 1
    this.onNews({ event: 'joined', invitation: shownId(id), ...newcomer })
    return given
  }

  refuse<Why extends JoinRefusal>(id: string, from: string, why: Why): Why {
    this.#counts.refused += 1
    this.onNews({ event: 'join-refused', invitation: shownId(id), from, why })
    return why
  }

  /** While the key is rotated, both: so the newcomer proves itself to hosts of both sorts, and they to it. */
  #keysFor({ keyId }: Invitation): GivenKeys | undefined {
    const marked = this.#keys.find(keyId)
    const other = this.#keys.all.find(({ id }) => id !== keyId)
    if (marked === undefined) return undefined
    if (other === undefined) return { clusterKey: marked.clusterKey }
    return { clusterKey: marked.clusterKey, other: { clusterKey: other.clusterKey, isUsed: other === this.#keys.used } }
  }

  #isOpen({ usesLeft, expiresAt }: Invitation): boolean {
    return usesLeft > 0 && this.#clock.now() < expiresAt
  }

  /** Makes room for one. */
  #forget(): void {
    const over = [...this.#known].filter(([, invitation]) => !this.#isOpen(invitation))
    const excess = this.#known.size + 1 - INVITATION_LIMITS.known
    for (const [index, [id, { expiresAt }]] of over.entries()) {
      const isOld = expiresAt + INVITATION_LIMITS.rememberedMs <= this.#clock.now()
      if (isOld || index < excess) this.#known.delete(id)
    }
  }
}

function shownId(id: string): string {
  return id.slice(0, 8)
}

function tooMany(): PagemeshError {
  return new PagemeshError('busy', `${INVITATION_LIMITS.open} invitations are open already.`, {
    fault: 'usage', advice: 'Use those, or wait until they expire.',
  })
}
