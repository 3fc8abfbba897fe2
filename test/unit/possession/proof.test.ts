import assert from 'node:assert/strict'

import fc from 'fast-check'

import { PAGE_BYTES } from '../../../src/page/index.ts'
import { LIMITS } from '../../../src/possession/limits.ts'
import {
  decodeAnswer, decodeChallenge, encodeAnswer, encodeChallenge, NONCE_BYTES, PROOF_BYTES, Prover,
} from '../../../src/possession/proof.ts'
import { MadePages, range } from '../../support/madeswap.ts'
import { KEY } from './made.ts'

const PAGES = new MadePages(9)
const OFFSETS = range(9).map((number) => number * PAGE_BYTES)
const BITMAP = Uint8Array.of(0b1010_0101, 0b1)
const CONTEXT = { nonce: new Uint8Array(NONCE_BYTES).fill(3), challengerPeerId: 'one', witnessPeerId: 'two' }

describe('a proof of possession', () => {
  const prover = new Prover(() => [KEY])
  const proof = prover.proofOf(CONTEXT, BITMAP, PAGES.bytes, OFFSETS)

  it('is the same at both ends, wherever the pages lie', () => {
    const moved = Buffer.concat([Buffer.alloc(100), PAGES.bytes])
    const offsets = OFFSETS.map((offset) => offset + 100)
    assert.deepEqual(new Prover(() => [KEY]).proofOf(CONTEXT, BITMAP, moved, offsets), proof)
    assert.equal(proof.length, PROOF_BYTES)
  })

  it('is another for another nonce, for other hosts, the other way round, and under another key', () => {
    const others = [
      { ...CONTEXT, nonce: new Uint8Array(NONCE_BYTES) },
      { ...CONTEXT, challengerPeerId: 'three' },
      { ...CONTEXT, witnessPeerId: 'three' },
      { ...CONTEXT, challengerPeerId: 'two', witnessPeerId: 'one' },
      { ...CONTEXT, challengerPeerId: 'onet', witnessPeerId: 'wo' },
    ]
    for (const context of others) {
      assert.notDeepEqual(prover.proofOf(context, BITMAP, PAGES.bytes, OFFSETS), proof)
    }
    assert.notDeepEqual(new Prover(() => [new Uint8Array(32)]).proofOf(CONTEXT, BITMAP, PAGES.bytes, OFFSETS), proof)
  })

  it('is made by the first of several keys, and checked by each: two while the cluster key is rotated', () => {
    const next = new Uint8Array(32).fill(7)
    const isProofTo = (...keys: Uint8Array[]): boolean =>
      new Prover(() => keys).isProof(proof, CONTEXT, BITMAP, PAGES.bytes, OFFSETS)
    assert.deepEqual([isProofTo(KEY), isProofTo(next, KEY), isProofTo(KEY, next), isProofTo(next)],
      [true, true, true, false])
    assert.deepEqual(new Prover(() => [KEY, next]).proofOf(CONTEXT, BITMAP, PAGES.bytes, OFFSETS), proof)
  })

  it('is another where one byte of a claimed page, or one claim, differs: pages not claimed do not count', () => {
    const changed = (number: number): Buffer => {
      const bytes = Buffer.from(PAGES.bytes)
      bytes[number * PAGE_BYTES + 77]! ^= 1
      return prover.proofOf(CONTEXT, BITMAP, bytes, OFFSETS)
    }
    for (const number of [0, 2, 5, 7, 8]) assert.notDeepEqual(changed(number), proof)
    for (const number of [1, 3, 4, 6]) assert.deepEqual(changed(number), proof)
    assert.notDeepEqual(prover.proofOf(CONTEXT, Uint8Array.of(0b1010_0111, 1), PAGES.bytes, OFFSETS), proof)
  })
})

describe('the messages of possession', () => {
  const isBad = { code: 'bad-possession', fault: 'peer' }

  it('are read as they were written', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.array(
      fc.tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff)), { minLength: 1, maxLength: LIMITS.pagesPerChallenge },
    ), (nonce, list) => {
      const high = Uint32Array.from(list, ([half]) => half)
      const low = Uint32Array.from(list, ([, half]) => half)
      const read = decodeChallenge(encodeChallenge({ nonce, prefixes: { count: list.length, high, low } }))
      assert.deepEqual({ ...read, nonce: Uint8Array.from(read.nonce) }, {
        nonce, prefixes: { count: list.length, high, low },
      })
    }))
    const answer = { bitmap: BITMAP, proof: new Uint8Array(PROOF_BYTES).fill(7) }
    assert.deepEqual(decodeAnswer(Uint8Array.from(encodeAnswer(answer)), 9), answer)
  })

  it('of no host of ours are refused: too long, cut short, of another version, with pages beyond the count', () => {
    const challenge = (count: number): Uint8Array => encodeChallenge({
      nonce: CONTEXT.nonce, prefixes: { count, high: new Uint32Array(count), low: new Uint32Array(count) },
    })
    assert.equal(decodeChallenge(challenge(LIMITS.pagesPerChallenge)).prefixes.count, LIMITS.pagesPerChallenge)
    const wrong = [
      challenge(LIMITS.pagesPerChallenge + 1), challenge(0), challenge(1).subarray(1), challenge(2).subarray(0, -1),
      new Uint8Array(0), Uint8Array.from(challenge(1).with(0, 2)),
    ]
    for (const message of wrong) assert.throws(() => decodeChallenge(message), isBad)
    const answer = encodeAnswer({ bitmap: BITMAP, proof: new Uint8Array(PROOF_BYTES) })
    for (const count of [8, 17]) assert.throws(() => decodeAnswer(answer, count), isBad)
    assert.throws(() => decodeAnswer(answer.with(0, 2), 9), isBad)
    assert.throws(() => decodeAnswer(answer.with(2, 0b11), 9), isBad)
    assert.throws(() => decodeAnswer(new Uint8Array(0), 9), isBad)
  })
})
