import assert from 'node:assert/strict'

import { Blake3Hasher } from '@napi-rs/blake-hash'
import fc from 'fast-check'
import { concat } from 'uint8arrays/concat'

import {
  OtherKeyError, proveMembership, StrangerError, type ProofChannel, type ProofInit, type RefusedError,
} from '../../../../src/mesh/admission/proof.ts'
import {
  decodeFrameLength, decodeProofMessage, encodeFrame, encodeProofMessage, instanceOf, NONCE_BYTES, PROOF_LIMITS,
  PROOF_VERSION, type ProofMessage, type Verdict,
} from '../../../../src/mesh/admission/proofcodec.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'

const accepted: Verdict = { code: 'accepted' }
const taken: Verdict = { code: 'name-taken', holderName: 'a', holderPeerId: '12D3Koo' }

describe('messages of the proof', () => {
  const messages: ProofMessage[] = [
    { kind: 'hello', version: 1, nonce: new Uint8Array(32).fill(9), name: 'host-a.example' },
    { kind: 'mac', mac: new Uint8Array(32).fill(8) },
    { kind: 'verdict', verdict: accepted },
    { kind: 'verdict', verdict: taken },
  ]
  const twoMacs: ProofMessage = { kind: 'mac', mac: new Uint8Array(32).fill(8), otherMac: new Uint8Array(32).fill(9) }

  it('come back as they went', () => {
    for (const message of [...messages, twoMacs]) {
      assert.deepEqual(decodeProofMessage(encodeProofMessage(message)), message)
    }
  })

  it('with two macs are refused cut elsewhere than between them, or with a third', () => {
    const bytes = encodeProofMessage(twoMacs)
    assert.deepEqual([...bytes], [2, ...Array<number>(32).fill(8), ...Array<number>(32).fill(9)])
    for (let length = 34; length < bytes.length; length++) {
      assert.equal(decodeProofMessage(bytes.subarray(0, length)), undefined)
    }
    assert.equal(decodeProofMessage(concat([bytes, new Uint8Array(32)])), undefined)
  })

  it('are these very bytes, by which hosts of other versions know them', () => {
    const bytesOf = (message: ProofMessage): number[] => [...encodeProofMessage(message)]
    const text = (value: string): number[] => [value.length, ...Buffer.from(value)]
    assert.deepEqual(bytesOf(messages[0]!), [1, 1, ...Array<number>(32).fill(9), ...text('host-a.example')])
    assert.deepEqual(bytesOf(messages[1]!), [2, ...Array<number>(32).fill(8)])
    assert.deepEqual(bytesOf(messages[2]!), [3, 1, 0, 0])
    assert.deepEqual(bytesOf(messages[3]!), [3, 2, ...text('a'), ...text('12D3Koo')])
    assert.deepEqual([...encodeFrame(new Uint8Array(256))].slice(0, 2), [1, 0])
    assert.deepEqual(PROOF_LIMITS, { messageBytes: 256, nameBytes: 63, peerIdBytes: 96 })
  })

  it('are refused cut short, or with anything behind them', () => {
    for (const message of messages) {
      const bytes = encodeProofMessage(message)
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(decodeProofMessage(bytes.subarray(0, length)), undefined)
      }
      assert.equal(decodeProofMessage(concat([bytes, Uint8Array.of(0)])), undefined)
    }
  })

  it('are refused above every limit, and with version or verdict 0', () => {
    const hello = (name: string, version = 1): Uint8Array =>
      encodeProofMessage({ kind: 'hello', version, nonce: new Uint8Array(32), name })
    assert.notEqual(decodeProofMessage(hello('n'.repeat(PROOF_LIMITS.nameBytes))), undefined)
    assert.equal(decodeProofMessage(hello('n'.repeat(PROOF_LIMITS.nameBytes + 1))), undefined)
    for (const name of ['', 'a b', '-a', 'ä', 'a\n']) assert.equal(decodeProofMessage(hello(name)), undefined)
    assert.equal(decodeProofMessage(hello('a', 0)), undefined)
    assert.equal(decodeProofMessage(Uint8Array.of(3, 0, 0, 0)), undefined)
    const longPeerId = { ...taken, holderPeerId: 'p'.repeat(PROOF_LIMITS.peerIdBytes + 1) }
    assert.equal(decodeProofMessage(encodeProofMessage({ kind: 'verdict', verdict: longPeerId })), undefined)
    const fullPeerId = { ...taken, holderPeerId: 'p'.repeat(PROOF_LIMITS.peerIdBytes) }
    const full: ProofMessage = { kind: 'verdict', verdict: fullPeerId }
    assert.deepEqual(decodeProofMessage(encodeProofMessage(full)), full)
    assert.equal(decodeFrameLength(Uint8Array.of(0, 0)), undefined)
    assert.equal(decodeFrameLength(Uint8Array.of(0, 1)), 1)
    assert.equal(decodeFrameLength(Uint8Array.of(1, 1)), undefined)
    assert.equal(decodeFrameLength(Uint8Array.of(1, 0)), PROOF_LIMITS.messageBytes)
  })

  it('are refused where a verdict names nobody, somebody that there cannot be, or too much', () => {
    const a = 'a'.charCodeAt(0)
    const refused = [
      [3, 1, 1, a, 0], [3, 1, 0, 1, a], [3, 1, 1, a, 1, a], [3, 2, 0, 0], [3, 2, 0, 1, a], [3, 2, 1, a, 0],
      [3, 2, 1, 45, 1, a], [3, 2, 1, a, 1, 45], [3, 3, 1, a, 1, a], [3, 3, 0, 0],
    ]
    for (const bytes of refused) assert.equal(decodeProofMessage(Uint8Array.from(bytes)), undefined, String(bytes))
  })

  it('are refused with a name that is no text', () => {
    const bytes = encodeProofMessage({ kind: 'hello', version: 1, nonce: new Uint8Array(32), name: 'abc' })
    bytes[bytes.length - 1] = 0xff
    assert.equal(decodeProofMessage(bytes), undefined)
  })

  it('never throw at hostile bytes, and what decodes encodes to the same', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 4 }), (noise, kind) => {
      const bytes = concat([Uint8Array.of(kind), noise])
      const message = decodeProofMessage(bytes)
      if (message !== undefined) assert.deepEqual(encodeProofMessage(message), bytes)
    }), { numRuns: 2_000 })
  })
})

describe('the proof of membership', () => {
  const key = new Uint8Array(32).fill(1)
  const dialer: ProofInit = {
    keys: { memberKey: key }, role: 'dialer', selfPeerId: 'peerA', remotePeerId: 'peerB', name: 'a',
    admit: () => accepted, instance: new Uint8Array(12).fill(1),
  }
  const listener: ProofInit = {
    keys: { memberKey: key }, role: 'listener', selfPeerId: 'peerB', remotePeerId: 'peerA', name: 'b',
    admit: () => accepted, instance: new Uint8Array(12).fill(2),
  }

  it('tells each side the name of the other', async () => {
    const [near, far] = await run(dialer, listener)
    assert.deepEqual([near, far], [{ status: 'fulfilled', value: 'b' }, { status: 'fulfilled', value: 'a' }])
  })

  it('is another one each time: what one was shown is worth nothing later', async () => {
    const nonces: string[] = []
    for (const init of [dialer, listener, dialer]) {
      const { nonce, given } = await helloOf(init)
      assert.deepEqual(nonce.slice(16), given, 'half of the nonce is all that chance gave')
      assert.equal(instanceOf(nonce), Buffer.from(init.instance).toString('hex'))
      nonces.push(Buffer.from(nonce).toString('hex'))
    }
    assert.equal(new Set(nonces).size, 3)
  })

  it('fails with a peer that speaks another version of it, before anything is proved', async () => {
    const [channel, peer] = channelPair()
    const proof = proveMembership(channel, { random: systemRandom }, listener)
    await peer.write(encodeFrame(encodeProofMessage({
      kind: 'hello', version: PROOF_VERSION + 1, nonce: new Uint8Array(NONCE_BYTES), name: 'a',
    })))
    await assert.rejects(proof, { name: 'StrangerError', message: 'the peer speaks version 2 of the proof' })
  })

  it('shows what its description says, by which hosts of other versions check it', async () => {
    const selfPeerId = 'p'.repeat(300)
    for (const role of ['dialer', 'listener'] as const) {
      const init: ProofInit = { ...dialer, role, selfPeerId }
      const [channel, peer] = channelPair()
      const proof = proveMembership(channel, { random: systemRandom }, init)
      const own = await readFrame(peer)
      const other = encodeProofMessage({ kind: 'hello', version: 1, nonce: new Uint8Array(32), name: 'b' })
      await peer.write(encodeFrame(other))
      const parts = role === 'dialer'
        ? [Buffer.from(role), Buffer.from(selfPeerId), Buffer.from('peerB'), own, other]
        : [Buffer.from(role), Buffer.from('peerB'), Buffer.from(selfPeerId), other, own]
      const hasher = Blake3Hasher.newKeyed(Buffer.from(key))
      for (const part of parts) hasher.update(Buffer.concat([Uint8Array.of(part.length >> 8, part.length & 255), part]))
      const mac = new Uint8Array(hasher.digestBuffer())
      assert.deepEqual(decodeProofMessage(await readFrame(peer)), { kind: 'mac', mac })
      await peer.write(Uint8Array.of(0, 0))
      await assert.rejects(proof, { name: 'StrangerError', message: 'awaiting mac: no message is that long' })
    }
  })

  it('says what came instead of what it waited for', async () => {
    const hello = encodeProofMessage({ kind: 'hello', version: 1, nonce: new Uint8Array(32), name: 'b' })
    for (const [bytes, message] of [
      [hello, 'awaiting mac: the peer sent hello'],
      [Uint8Array.of(7), 'awaiting mac: the peer sent no message of the proof'],
    ] as const) {
      const [channel, peer] = channelPair()
      const proof = proveMembership(channel, { random: systemRandom }, dialer)
      await peer.write(encodeFrame(hello))
      await peer.write(encodeFrame(bytes))
      await assert.rejects(proof, { name: 'StrangerError', message })
    }
  })

  it('fails as soon as nothing can be said to the peer any more', async () => {
    for (const writesMax of [0, 1, 2]) {
      const [channel, peer] = channelPair()
      let writes = 0
      const cut: ProofChannel = {
        read: (count) => channel.read(count),
        write: async (bytes) => {
          if (writes++ === writesMax) throw new Error('the connection is cut')
          await channel.write(bytes)
        },
      }
      const other = proveMembership(peer, { random: systemRandom }, listener)
      await assert.rejects(proveMembership(cut, { random: systemRandom }, dialer), /the connection is cut/)
      await channel.write(Uint8Array.of(0, 0))
      await assert.rejects(other, StrangerError)
    }
  })

  it('fails on both sides with different keys, other identities, or the same role', async () => {
    const wrongs: Array<Partial<ProofInit>> = [
      { keys: { memberKey: new Uint8Array(32) } },
      { selfPeerId: 'peerC' }, { remotePeerId: 'peerC' }, { role: 'dialer' },
    ]
    for (const wrong of wrongs) {
      for (const outcome of await run(dialer, { ...listener, ...wrong })) {
        assert.ok(outcome.status === 'rejected' && outcome.reason instanceof StrangerError)
      }
    }
  })

  describe('while the cluster key is rotated', () => {
    const [old, next, third] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as
      [Uint8Array, Uint8Array, Uint8Array]
    const keysOf = (memberKey: Uint8Array, otherMemberKey?: Uint8Array): Pick<ProofInit, 'keys'> =>
      ({ keys: { memberKey, otherMemberKey } })
    const both = async (near: Pick<ProofInit, 'keys'>, far: Pick<ProofInit, 'keys'>): Promise<string> => {
      const outcomes = await run({ ...dialer, ...near }, { ...listener, ...far })
      const known = outcomes.map((one) => (one.status === 'fulfilled' ? 'in' : (one.reason as Error).constructor.name))
      return known.join(' ')
    }

    it('lets in whoever has a key in common, whichever each uses', async () => {
      const rings = [keysOf(old), keysOf(old, next), keysOf(next, old), keysOf(next)]
      for (const [place, near] of rings.entries()) {
        for (const [other, far] of rings.entries()) {
          const isCommon = Math.abs(place - other) < 3
          assert.equal(await both(near, far), isCommon ? 'in in' : 'OtherKeyError OtherKeyError', `${place} ${other}`)
        }
      }
    })

    it('keeps out whoever has neither, and tells that from a stranger without a key', async () => {
      assert.equal(await both(keysOf(old, next), keysOf(third)), 'OtherKeyError OtherKeyError')
      assert.equal(await both(keysOf(third), keysOf(next, old)), 'OtherKeyError OtherKeyError')
    })

    it('takes no proof by a key that is removed before it comes', async () => {
      const ring = { memberKey: next, otherMemberKey: old as Uint8Array | undefined }
      const [channel, peer] = channelPair()
      const proof = proveMembership(channel, { random: systemRandom }, { ...listener, keys: ring })
      const other = proveMembership({
        read: (count) => peer.read(count),
        write: async (bytes) => {
          // The hello came; the mac follows.
          if (bytes[2] === 2) ring.otherMemberKey = undefined
          await peer.write(bytes)
        },
      }, { random: systemRandom }, { ...dialer, ...keysOf(old) })
      // It gets no verdict.
      const over = other.catch(() => undefined)
      await assert.rejects(proof, OtherKeyError)
      await channel.write(Uint8Array.of(0, 0))
      await over
    })
  })

  it('tells both sides of a refusal, whichever refused', async () => {
    const sides = [
      [{ ...dialer, admit: () => taken }, listener, 'self', 'peer'],
      [dialer, { ...listener, admit: () => taken }, 'peer', 'self'],
    ] as const
    for (const [near, far, nearBy, farBy] of sides) {
      const outcomes = await run(near, far)
      const reasons = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason as RefusedError)
      assert.deepEqual(reasons.map(({ by, holderName, holderPeerId }) => ({ by, holderName, holderPeerId })), [
        { by: nearBy, holderName: 'a', holderPeerId: '12D3Koo' },
        { by: farBy, holderName: 'a', holderPeerId: '12D3Koo' },
      ])
    }
  })

  it('calls whoever sends anything else a stranger, and does not ask about joining', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
      const [channel, peer] = channelPair()
      let wasAsked = false
      const admit = (): Verdict => {
        wasAsked = true
        return accepted
      }
      const proof = proveMembership(channel, { random: systemRandom }, { ...listener, admit })
      await peer.write(encodeFrame(concat([Uint8Array.of(7), noise])))
      await assert.rejects(() => proof, StrangerError)
      assert.equal(wasAsked, false)
    }), { numRuns: 100 })
  })

  it('cannot be won by sending back what the other side says', async () => {
    const [channel, mirror] = channelPair()
    const proof = proveMembership(channel, { random: systemRandom }, listener)
    const reflect = async (): Promise<void> => {
      for (;;) await mirror.write(await mirror.read(1))
    }
    void reflect().catch(() => {})
    await assert.rejects(() => proof, StrangerError)
  })
})

/** The nonce of the greeting that `init` makes, and what chance had given for it. */
async function helloOf(init: ProofInit): Promise<{ nonce: Uint8Array; given: Uint8Array }> {
  const [channel, peer] = channelPair()
  let given: Uint8Array = new Uint8Array(0)
  const random = { ...systemRandom, bytes: (count: number) => (given = systemRandom.bytes(count)) }
  const proof = proveMembership(channel, { random }, init)
  const hello = decodeProofMessage(await readFrame(peer))
  assert.ok(hello?.kind === 'hello')
  // Whoever listens on says something that ends the proof.
  await peer.write(Uint8Array.of(0, 0))
  await assert.rejects(proof, StrangerError)
  return { nonce: hello.nonce, given }
}

async function readFrame(channel: ProofChannel): Promise<Uint8Array> {
  return channel.read(decodeFrameLength(await channel.read(2))!)
}

async function run(near: ProofInit, far: ProofInit): Promise<Array<PromiseSettledResult<string>>> {
  const [one, other] = channelPair()
  return Promise.allSettled([
    proveMembership(one, { random: systemRandom }, near), proveMembership(other, { random: systemRandom }, far),
  ])
}

function channelPair(): [ProofChannel, ProofChannel] {
  const [toFar, toNear] = [new Pipe(), new Pipe()]
  return [
    { read: (count) => toNear.read(count), write: async (bytes) => toFar.write(bytes) },
    { read: (count) => toFar.read(count), write: async (bytes) => toNear.write(bytes) },
  ]
}

class Pipe {
  #held = new Uint8Array(0)
  #wake = Promise.withResolvers<void>()

  write(bytes: Uint8Array): void {
    this.#held = new Uint8Array(concat([this.#held, bytes]))
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  async read(count: number): Promise<Uint8Array> {
    while (this.#held.length < count) await this.#wake.promise
    const bytes = this.#held.slice(0, count)
    this.#held = this.#held.slice(count)
    return bytes
  }
}
