import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

import fc from 'fast-check'

import { createCryptoSealer } from '../../../src/page/cryptosealer.ts'
import {
  BOUND_BYTES, createPageSealer, NONCE_BYTES, PAGE_BYTES, SEAL_BYTES, type SealedPages,
} from '../../../src/page/index.ts'

const SEALED_BYTES = SEAL_BYTES + PAGE_BYTES
const COUNT = 5
const key = new Uint8Array(32).fill(3)

/** Pages in reverse order, beside what they are sealed to. */
function madeRun(): SealedPages & { pages: Buffer; sealed: Buffer; bound: Buffer } {
  return {
    pages: randomBytes(COUNT * PAGE_BYTES + 7), sealed: Buffer.alloc(COUNT * SEALED_BYTES + 3),
    offsets: Uint32Array.from({ length: COUNT }, (_, entry) => 7 + (COUNT - 1 - entry) * PAGE_BYTES),
    places: Uint32Array.from({ length: COUNT }, (_, entry) => 3 + entry * SEALED_BYTES),
    bound: randomBytes(COUNT * BOUND_BYTES),
  }
}

describe('what seals pages with the kernel, where there is one', () => proveSealer(createPageSealer))

describe('what seals pages without the kernel', () => proveSealer(createCryptoSealer))

function proveSealer(make: typeof createPageSealer): void {
  const sealer = make(key)

  it('makes what AES-256-GCM makes, with the nonce and the tag before it, and touches nothing else', () => {
    const run = madeRun()
    run.sealed.fill(9)
    const nonces = randomBytes(2 * NONCE_BYTES)
    sealer.seal(run, 2, 4, nonces)
    for (let entry = 0; entry < COUNT; entry++) {
      const sealed = run.sealed.subarray(run.places[entry], run.places[entry]! + SEALED_BYTES)
      if (entry < 2 || entry >= 4) assert.ok(sealed.every((byte) => byte === 9))
      else {
        const nonce = nonces.subarray((entry - 2) * NONCE_BYTES, (entry - 1) * NONCE_BYTES)
        const cipher = createCipheriv('aes-256-gcm', key, nonce)
        cipher.setAAD(run.bound.subarray(entry * BOUND_BYTES, (entry + 1) * BOUND_BYTES))
        const page = cipher.update(run.pages.subarray(run.offsets[entry], run.offsets[entry]! + PAGE_BYTES))
        cipher.final()
        assert.deepEqual(sealed, Buffer.concat([Buffer.alloc(4, 9), nonce, cipher.getAuthTag(), page]))
      }
    }
  })

  it('opens what AES-256-GCM made', () => {
    const run = madeRun()
    const { pages } = run
    sealer.seal(run, 0, COUNT, randomBytes(COUNT * NONCE_BYTES))
    const decipher = createDecipheriv('aes-256-gcm', key, run.sealed.subarray(7, 19), { authTagLength: 16 })
    decipher.setAAD(run.bound.subarray(0, BOUND_BYTES)).setAuthTag(run.sealed.subarray(19, 35))
    const first = decipher.update(run.sealed.subarray(35, 35 + PAGE_BYTES))
    decipher.final()
    assert.deepEqual(first, pages.subarray(run.offsets[0]))
    const into = Buffer.alloc(pages.length)
    const isOpen = new Uint8Array(COUNT)
    sealer.open({ ...run, pages: into }, 0, COUNT, isOpen)
    assert.ok(isOpen.every((open) => open === 1))
    assert.deepEqual(into.subarray(7), pages.subarray(7))
  })

  it('opens nothing that was changed, is bound elsewhere or has another key, and leaves its page as it was', () => {
    const run = madeRun()
    sealer.seal(run, 0, COUNT, randomBytes(COUNT * NONCE_BYTES))
    const into = Buffer.alloc(run.pages.length, 6)
    const isOpen = new Uint8Array(COUNT).fill(7)
    make(new Uint8Array(32)).open({ ...run, pages: into }, 0, COUNT, isOpen)
    assert.ok(isOpen.every((open) => open === 0) && into.every((byte) => byte === 6))
    const flip = fc.oneof(
      fc.record({ what: fc.constant('sealed' as const), at: fc.integer({ min: 4, max: SEALED_BYTES - 1 }) }),
      fc.record({ what: fc.constant('sealed' as const), at: fc.integer({ min: 4, max: SEAL_BYTES - 1 }) }),
      fc.record({ what: fc.constant('bound' as const), at: fc.nat(BOUND_BYTES - 1) }),
    )
    fc.assert(fc.property(flip, fc.nat(COUNT - 1), fc.nat(7), ({ what, at }, wrong, bit) => {
      const flipped = { ...run, pages: Buffer.alloc(run.pages.length, 6), [what]: Buffer.from(run[what]) }
      flipped[what][(what === 'sealed' ? run.places[wrong]! : wrong * BOUND_BYTES) + at]! ^= 1 << bit
      sealer.open(flipped, 0, COUNT, isOpen)
      assert.deepEqual([...isOpen], Array.from({ length: COUNT }, (_, entry) => (entry === wrong ? 0 : 1)))
      const page = flipped.pages.subarray(run.offsets[wrong], run.offsets[wrong]! + PAGE_BYTES)
      assert.ok(page.every((byte) => byte === 6))
    }))
  })
}
