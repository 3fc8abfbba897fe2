import { keyIdOf, type HeldKeys, type KeyRing, type Member, type Mesh } from '../mesh/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError, type PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { isTold, memberKeysOf, type KeysAsker } from './asking.ts'
import { cannotInstall, cannotRemove, cannotUse, unreadyToInstall, unreadyToRemove, unreadyToUse } from './rules.ts'
import type { KeyChange } from './wire.ts'

/** How long a proof of membership that had begun by a key may still go on when the key is removed, ms. */
const LATE_PROOF_MS = 15_000

/** A step that this host took. */
export interface KeysNews {
  event: 'key'
  step: KeyChange['do']
  /** Id of the key. */
  key: string
  /** The member that asked for it, with its identity; `operator`: somebody at this host. */
  by: string
  peerId: string | null
  /** Of the same within a minute. */
  count?: number
}

/** Ids of removed keys; they survive a restart. `add` never rejects. */
export interface RemovedKeys {
  ids(): readonly string[]
  add(id: string): Promise<void>
}

export interface StepsInit {
  /** Keeps the keys for the next start, if they are now `before`. Rejects with PagemeshError. */
  save: (keys: HeldKeys, before: HeldKeys) => Promise<void>
  onNews: (news: KeysNews) => void
}

export interface StepsParts {
  mesh: Mesh
  clock: Clock
  log: Log
  ring: KeyRing
  removed: RemovedKeys
  asker: KeysAsker
}

/** Takes steps of a rotation on this host, one at a time. */
export class Steps {
  readonly #parts: StepsParts
  readonly #init: StepsInit
  #turn: Promise<void> = Promise.resolve()
  #sweep: Timer | undefined

  constructor(parts: StepsParts, init: StepsInit) {
    this.#parts = parts
    this.#init = init
  }

  /**
   * Takes a step, if this host and its members are ready for it; a step that was taken before changes nothing.
   * `asksMembers`: false for a key that is installed here alone, or that a member sent. Rejects with PagemeshError;
   * then nothing was changed.
   */
  take(change: KeyChange, by: Member | 'operator', init: { asksMembers: boolean }): Promise<void> {
    const turn = this.#turn.then(() => this.#take(change, by, init))
    // The caller gets its error; the next turn only waits for its end.
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  stop(): void {
    this.#sweep?.cancel()
  }

  async #take(change: KeyChange, by: Member | 'operator', { asksMembers }: { asksMembers: boolean }): Promise<void> {
    const { ring, removed, log } = this.#parts
    const id = idOf(change)
    const refusal = ownRefusal(change, ring.ids, removed.ids())
    if (refusal !== undefined) throw refusal
    const next = nextKeys(change, ring)
    if (next === undefined) return
    const proven = asksMembers ? await this.#ready(change, id) : []
    await this.#init.save(next, ring.held)
    ring.set(next)
    const who = by === 'operator' ? { by, peerId: null } : { by: by.name, peerId: by.peerId }
    log.warn('the cluster keys of this host were changed', { step: change.do, key: id, ...who, keys: ring.ids })
    this.#init.onNews({ event: 'key', step: change.do, key: id, ...who })
    if (change.do !== 'remove') return
    await removed.add(id)
    this.#letGo(new Set(proven))
  }

  /** Peer ids of the members, all of which are ready. */
  async #ready(change: KeyChange, id: string): Promise<string[]> {
    const { mesh, asker, ring } = this.#parts
    const answers = await asker.askAll(mesh.members())
    const members = answers.map(memberKeysOf)
    const kept = ring.ids.find((other) => other !== id) ?? ''
    const refusal = change.do === 'install' ? unreadyToInstall(members, id)
      : change.do === 'use' ? unreadyToUse(members, id) : unreadyToRemove(members, id, kept)
    if (refusal !== undefined) throw refusal
    return answers.map(({ member }) => member.peerId)
  }

  /** Lets go whoever came meanwhile by a proof of the removed key. `proven` have shown that they hold the other. */
  #letGo(proven: Set<string>): void {
    const { clock } = this.#parts
    // Never rejects: it logs its failure.
    void this.#letUnprovenGo(proven)
    this.#sweep?.cancel()
    this.#sweep = clock.after(LATE_PROOF_MS, () => {
      // Never rejects either.
      void this.#letUnprovenGo(proven)
    })
  }

  async #letUnprovenGo(proven: Set<string>): Promise<void> {
    const { mesh, asker, ring, log } = this.#parts
    try {
      const others = mesh.members().filter(({ peerId }) => !proven.has(peerId))
      for (const one of await asker.askAll(others)) {
        const { name, peerId } = one.member
        if (isTold(one) && one.ids.includes(ring.used.id)) proven.add(peerId)
        else {
          log.warn('a member did not prove the cluster key that remains: it was let go', { member: name, peerId })
          mesh.letGo(peerId)
        }
      }
    } catch (error) {
      log.error('members could not be asked for the cluster key that remains', { error: describeError(error) })
    }
  }
}

export function idOf(change: KeyChange): string {
  return change.do === 'install' ? keyIdOf(change.key) : change.id
}

function ownRefusal(change: KeyChange, own: string[], removed: readonly string[]): PagemeshError | undefined {
  switch (change.do) {
    case 'install': return cannotInstall(own, idOf(change), removed)
    case 'use': return cannotUse(own, change.id)
    case 'remove': return cannotRemove(own, change.id)
  }
}

/** Undefined: the step was taken before. */
function nextKeys(change: KeyChange, { used, other }: Pick<KeyRing, 'used' | 'other'>): HeldKeys | undefined {
  if (change.do === 'install') {
    return idOf(change) === used.id || idOf(change) === other?.id
      ? undefined : { used: used.clusterKey, other: change.key }
  }
  if (other?.id !== change.id) return undefined
  return change.do === 'use' ? { used: other.clusterKey, other: used.clusterKey } : { used: used.clusterKey }
}
