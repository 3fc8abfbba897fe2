import { timingSafeEqual } from 'node:crypto'

import type { KeyRing, Member, Mesh } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, PagemeshError } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { someAtOnce, withDeadline } from '../runtime/wait.ts'
import type { MemberKeys } from './rules.ts'
import {
  decodeKeysAnswer, encodeKeysQuestion, keyProof, KEYS_PROTOCOL, NONCE_BYTES, type KeyChange, type KeysAnswer,
} from './wire.ts'

/** How long a member may take to say what it holds, and to take a step, for which it asks its own members. */
const TELL_MS_MAX = 5_000
const CHANGE_MS_MAX = 20_000
/** Members that are asked at once. */
const ASKED_AT_ONCE = 16

/** What a member said. `ids`: proven for those that this host has too. */
export type Told = { member: Member; ids: string[]; removed: string[]; refused: PagemeshError | undefined }
export type Untold = { member: Member; error: PagemeshError }

/** Asks members for their keys, and to take steps. */
export class KeysAsker {
  readonly #parts: { mesh: Mesh; clock: Clock; random: Random; ring: KeyRing }

  constructor(parts: { mesh: Mesh; clock: Clock; random: Random; ring: KeyRing }) {
    this.#parts = parts
  }

  /** Never rejects. In the order of `members`. */
  async askAll(members: readonly Member[], change?: KeyChange): Promise<(Told | Untold)[]> {
    return await someAtOnce(members, ASKED_AT_ONCE, async (member) => {
      try {
        return await this.#ask(member, change)
      } catch (error) {
        return { member, error: asPagemeshError(error) }
      }
    })
  }

  async #ask(member: Member, change: KeyChange | undefined): Promise<Told> {
    const { mesh, clock, random } = this.#parts
    const { signal } = new AbortController()
    const limitMs = change === undefined ? TELL_MS_MAX : CHANGE_MS_MAX
    const late = (): Error => new PagemeshError('timeout', `${member.name} did not answer in time.`, { fault: 'peer' })
    return await withDeadline(clock, { signal, limitMs, late }, async (within) => {
      const nonce = random.bytes(NONCE_BYTES)
      const stream = await mesh.open(member.name, KEYS_PROTOCOL, within)
      try {
        await stream.send(encodeKeysQuestion(change === undefined ? { nonce } : { nonce, change }), within)
        const answer = decodeKeysAnswer(await stream.receive(within))
        this.#check(answer, nonce, member)
        return { member, ids: answer.keys.map(({ id }) => id), removed: answer.removed, refused: answer.refused }
      } finally {
        // The answer was the last word.
        await stream.close().catch(() => undefined)
      }
    })
  }

  /** Keys that this host does not have are only names to it. */
  #check({ keys }: KeysAnswer, nonce: Uint8Array, { name, peerId }: Member): void {
    const { mesh, ring } = this.#parts
    for (const { id, proof } of keys) {
      const own = ring.find(id)
      if (own === undefined) continue
      const expected = keyProof(own.keys.memberKey, { nonce, asker: mesh.self.peerId, answerer: peerId })
      if (timingSafeEqual(expected, proof)) continue
      throw new PagemeshError('bad-answer', `${name} did not prove that it holds the key ${id}.`, { fault: 'peer' })
    }
  }
}

export function isTold(one: Told | Untold): one is Told {
  return 'ids' in one
}

/** As the rules need it. */
export function memberKeysOf(one: Told | Untold): MemberKeys {
  const host = one.member.name
  return isTold(one) ? { host, ids: one.ids, removed: one.removed } : { host, why: one.error.message }
}
