/**
 * The messages of a challenger and a witness.
 *
 * Goals: one message each way proves any number of pages; a proof is useful only to its challenger, and only once.
 * Non-goals: hiding which pages the witness holds; members may ask each other that.
 *
 *   challenger                                 witness
 *     challenge (nonce, prefixes) ------------> |  looks them up in its guests' memory, and hashes what it finds
 *       | <------------------ answer (bitmap, proof)
 *     further challenges over the same stream, one at a time; the challenger closes it
 *
 *   challenge = 1:u8 nonce:16 prefix:8 {1..256}
 *   answer    = 1:u8 bitmap proof:16       bitmap: a bit for each prefix, lowest first: which pages the witness holds
 *   proof     = keyed BLAKE3 (nonce, peer id of the challenger, peer id of the witness, bitmap, bytes of the pages)
 *
 * The nonce is fresh, so that an old proof is useless. The proof covers both peer ids, so that a challenge relayed to a
 * host that does hold the pages returns a proof for another pair of hosts.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash'

import { hasBit } from '../bytes/bits.ts'
import { bufferOver } from '../bytes/bufferover.ts'
import { PAGE_BYTES, PREFIX_BYTES, readPrefixes, writePrefixes, type Prefixes } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { LIMITS } from './limits.ts'

export const POSSESSION_PROTOCOL = '/pagemesh/possession/1'
export const NONCE_BYTES = 16
export const PROOF_BYTES = 16
const VERSION = 1
const HEAD_BYTES = 1 + NONCE_BYTES

export interface Challenge {
  nonce: Uint8Array
  prefixes: Prefixes
}

export interface Answer {
  bitmap: Uint8Array
  proof: Uint8Array
}

/** What a proof is bound to. */
export interface ProofContext {
  nonce: Uint8Array
  challengerPeerId: string
  witnessPeerId: string
}

/** Computes proofs, and checks them. */
export class Prover {
  readonly #keys: () => readonly Uint8Array[]
  /** By the key that each has. */
  readonly #hashers = new WeakMap<Uint8Array, Blake3Hasher>()

  /**
   * @param keys 32 bytes each, derived from the cluster keys that this host accepts now. Proofs are made by the first;
   *   while the cluster key is rotated, those of other hosts may be made by either.
   */
  constructor(keys: () => readonly Uint8Array[]) {
    this.#keys = keys
  }

  /** The proof for the pages whose bits are set; page i of the challenge lies at `offsets[i]` of `bytes`. */
  proofOf(context: ProofContext, bitmap: Uint8Array, bytes: Uint8Array, offsets: ArrayLike<number>): Buffer {
    return this.#by(this.#keys()[0]!, context, bitmap, bytes, offsets)
  }

  /** Whether `proof` is the one for these pages, by any of the keys. */
  isProof(
    proof: Uint8Array, context: ProofContext, bitmap: Uint8Array, bytes: Uint8Array, offsets: ArrayLike<number>,
  ): boolean {
    return this.#keys().some((key) => this.#by(key, context, bitmap, bytes, offsets).equals(proof))
  }

  #by(
    key: Uint8Array, context: ProofContext, bitmap: Uint8Array, bytes: Uint8Array, offsets: ArrayLike<number>,
  ): Buffer {
    const hasher = this.#hashers.get(key) ?? Blake3Hasher.newKeyed(Buffer.from(key))
    this.#hashers.set(key, hasher)
    hasher.reset()
    for (const part of [context.nonce, text(context.challengerPeerId), text(context.witnessPeerId), bitmap]) {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(part.length)
      hasher.update(length)
      hasher.update(bufferOver(part))
    }
    const page = (offset: number): Buffer => bufferOver(bytes).subarray(offset, offset + PAGE_BYTES)
    for (let place = 0; place < offsets.length; place++) {
      if (hasBit(bitmap, place)) hasher.update(page(offsets[place]!))
    }
    return Buffer.from(hasher.digestBuffer().subarray(0, PROOF_BYTES))
  }
}

export function encodeChallenge({ nonce, prefixes }: Challenge): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + prefixes.count * PREFIX_BYTES)
  bytes[0] = VERSION
  bytes.set(nonce, 1)
  writePrefixes(bytes, HEAD_BYTES, prefixes)
  return bytes
}

/** Throws PagemeshError `bad-possession` on bytes that no Pagemesh challenger writes. */
export function decodeChallenge(message: Uint8Array): Challenge {
  const bytes = bufferOver(message)
  const count = (bytes.length - HEAD_BYTES) / PREFIX_BYTES
  if (bytes[0] !== VERSION) throw badPossession('its version is unknown')
  if (!Number.isInteger(count) || count < 1 || count > LIMITS.pagesPerChallenge) throw badPossession('a bad length')
  return { nonce: bytes.subarray(1, HEAD_BYTES), prefixes: readPrefixes(bytes, HEAD_BYTES, count) }
}

export function encodeAnswer({ bitmap, proof }: Answer): Uint8Array {
  return Buffer.concat([Uint8Array.of(VERSION), bitmap, proof])
}

/** Throws PagemeshError `bad-possession` on bytes that no Pagemesh witness writes about `count` pages. */
export function decodeAnswer(message: Uint8Array, count: number): Answer {
  const proofAt = 1 + Math.ceil(count / 8)
  if (message[0] !== VERSION || message.length !== proofAt + PROOF_BYTES) throw badPossession('a bad length')
  const bitmap = message.subarray(1, proofAt)
  const bitsOver = bitmap.length * 8 - count
  if (bitsOver > 0 && bitmap.at(-1)! >>> (8 - bitsOver) !== 0) throw badPossession('it has pages beyond its count')
  return { bitmap, proof: message.subarray(proofAt) }
}

export function badPossession(why: string): PagemeshError {
  return new PagemeshError('bad-possession', `A message about possession cannot be read: ${why}.`, {
    fault: 'peer', phase: 'possession',
  })
}

function text(peerId: string): Buffer {
  return Buffer.from(peerId)
}
