/**
 * How the hosts of a mesh exchange the cluster key for another.
 *
 * Each host has a ring of keys: one that it uses, and at most one more that it accepts. A rotation is three steps, each
 * ordered by an operator at one host and carried out by all: the new key is *installed* (accepted) everywhere, then
 * *used*, then the old one is *removed*. Admission takes a proof by either key, so hosts at different steps are one
 * mesh as long as each two have a key in common, and each step begins only where all have taken the one before.
 *
 * Goals: no host is shut out by a step that one of its members has not reached; the key never goes to anybody but a
 * member, over its encrypted stream; a host that was down is brought along, or learns from its own agent what to do.
 * Non-goals: to keep out a member that has been taken over (it holds the key, gets the next one and may rotate as
 * well); an order of rotations that two operators begin at once (each is refused where the other's step runs).
 *
 *   one host                                  each member
 *     request {nonce}                   --->     all at first: what does it hold?
 *                                       <---  answer {keys: [{id, proof}], removed}
 *     this host takes the step itself, its key file first
 *     request {nonce, change}           --->  the member asks all of its own members as above, and refuses a step that
 *                                             not all of them are ready for; then it takes the step
 *                                       <---  answer {keys, removed, refused?}
 *
 *   request = {version: 1, nonce, do?: 'install', key} | {.., do: 'use' | 'remove', id}
 *   answer  = {version: 1, keys, removed, refused?: {code, message, advice?}}
 *   keys    = [{id, proof} {1..2}]        the key that is used first
 *   proof   = BLAKE3 keyed with the member key of this key, over "keys", nonce, the asker's peer id, the answerer's
 *             peer id, each preceded by its length
 *   removed = ids of keys that were removed here, at most REMOVED_KEYS_MAX
 *
 * Whoever asks counts only proven keys. The connection itself may have been proved by the old key: so before that is
 * removed each member proves the new one, and who has not is let go. The proof is fresh and bound to both peers: it can
 * be neither repeated nor passed on. A removed key is never taken again, so nobody can lead a mesh back to it.
 *
 * Messages are JSON, read field by field. Pure.
 */
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'

import { KEY_ID_FORM, macOf } from '../mesh/index.ts'
import { isErrorCode, PagemeshError } from '../runtime/errors.ts'
import { bad, encodeObject, isText, parseObject } from '../transfer/index.ts'

export const KEYS_PROTOCOL = '/pagemesh/keys/1'
/** Removed keys that a host remembers; of more, the one removed longest ago is forgotten. */
export const REMOVED_KEYS_MAX = 16

const VERSION = 1
const NONCE_FORM = /^[0-9a-f]{64}$/
const PROOF_FORM = NONCE_FORM
export const NONCE_BYTES = 32
/** 32 bytes: the last character has two bits that mean nothing. */
const KEY_FORM = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/
const KEYS_MAX = 2
const SENTENCES_MAX = 1_000

/** A step of a rotation. */
export type KeyChange = { do: 'install'; key: Uint8Array } | { do: 'use' | 'remove'; id: string }

export interface KeysQuestion {
  nonce: Uint8Array
  change?: KeyChange
}

export interface KeysAnswer {
  keys: { id: string; proof: Uint8Array }[]
  removed: string[]
  /** Why the step was not taken. */
  refused?: PagemeshError
}

/** What `wire.ts` calls a proof. */
export function keyProof(
  memberKey: Uint8Array, { nonce, asker, answerer }: { nonce: Uint8Array; asker: string; answerer: string },
): Uint8Array {
  const text = new TextEncoder()
  return macOf(memberKey, [text.encode('keys'), nonce, text.encode(asker), text.encode(answerer)])
}

export function encodeKeysQuestion({ nonce, change }: KeysQuestion): Uint8Array {
  const asked = { version: VERSION, nonce: toString(nonce, 'hex') }
  if (change === undefined) return encodeObject(asked)
  return encodeObject(change.do === 'install'
    ? { ...asked, do: change.do, key: toString(change.key, 'base64url') }
    : { ...asked, do: change.do, id: change.id })
}

/** Throws PagemeshError `bad-question`, which does not repeat what it got. */
export function decodeKeysQuestion(bytes: Uint8Array): KeysQuestion {
  const { version, nonce, do: step, key, id } = parseObject(bytes, 'bad-question')
  if (version !== VERSION || typeof nonce !== 'string' || !NONCE_FORM.test(nonce)) {
    throw bad('bad-question', 'it does not ask for keys')
  }
  const asked = { nonce: fromString(nonce, 'hex') }
  if (step === undefined) return asked
  if (step === 'install' && typeof key === 'string' && KEY_FORM.test(key)) {
    return { ...asked, change: { do: step, key: fromString(key, 'base64url') } }
  }
  if ((step === 'use' || step === 'remove') && isKeyId(id)) return { ...asked, change: { do: step, id } }
  throw bad('bad-question', 'it is no step of a rotation')
}

export function encodeKeysAnswer({ keys, removed, refused }: KeysAnswer): Uint8Array {
  return encodeObject({
    version: VERSION,
    keys: keys.map(({ id, proof }) => ({ id, proof: toString(proof, 'hex') })),
    removed: removed.slice(-REMOVED_KEYS_MAX),
    ...(refused === undefined ? {} : { refused: {
      code: refused.code, message: refused.message.slice(0, SENTENCES_MAX),
      ...(refused.advice === undefined ? {} : { advice: refused.advice.slice(0, SENTENCES_MAX) }),
    } }),
  })
}

/** Throws PagemeshError `bad-answer`. */
export function decodeKeysAnswer(bytes: Uint8Array): KeysAnswer {
  const { version, keys, removed, refused } = parseObject(bytes, 'bad-answer')
  const isList = Array.isArray(keys) && keys.length >= 1 && keys.length <= KEYS_MAX
  if (version !== VERSION || !isList) throw bad('bad-answer', 'it names no keys')
  const read = keys.map(readKey)
  if (new Set(read.map(({ id }) => id)).size < read.length) throw bad('bad-answer', 'it names a key twice')
  if (!Array.isArray(removed) || removed.length > REMOVED_KEYS_MAX || !removed.every(isKeyId)) {
    throw bad('bad-answer', 'its removed keys are no list of ids')
  }
  return { keys: read, removed, ...(refused === undefined ? {} : { refused: readRefusal(refused) }) }
}

function readKey(value: unknown): KeysAnswer['keys'][number] {
  const { id, proof } = (value ?? {}) as Record<string, unknown>
  if (!isKeyId(id) || typeof proof !== 'string' || !PROOF_FORM.test(proof)) {
    throw bad('bad-answer', 'a key has no id or no proof')
  }
  return { id, proof: fromString(proof, 'hex') }
}

function readRefusal(value: unknown): PagemeshError {
  const { code, message, advice } = (value ?? {}) as Record<string, unknown>
  const isReasoned = isText(code, SENTENCES_MAX) && isText(message, SENTENCES_MAX)
  if (!isReasoned) throw bad('bad-answer', 'it refuses without a reason')
  return new PagemeshError(isErrorCode(code) ? code : 'refused-there', message, {
    fault: 'peer', ...(isText(advice, SENTENCES_MAX) ? { advice } : {}),
  })
}

function isKeyId(value: unknown): value is string {
  return typeof value === 'string' && KEY_ID_FORM.test(value)
}
