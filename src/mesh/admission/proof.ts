import { timingSafeEqual } from 'node:crypto'

import { Blake3Hasher } from '@napi-rs/blake-hash'
import { concat } from 'uint8arrays/concat'

import { bufferOver } from '../../bytes/bufferover.ts'
import type { Random } from '../../runtime/random.ts'
import type { MemberKeys } from '../keyring.ts'
import {
  decodeFrameLength, decodeProofMessage, encodeFrame, encodeProofMessage, FRESH_BYTES, instanceOf, makeNonce,
  PROOF_VERSION,
  type ProofMessage, type Verdict,
} from './proofcodec.ts'

/**
 * The proof of membership: two peers with known identities (after noise's handshake) show each other that both hold the
 * cluster key, before any other protocol runs between them.
 *
 * Goals: mutual, fresh, bound to this pair of peers and their roles, one and a half round trips; no deadlock (both
 * sides always send before they read); a second host of the same name is refused with the reason. Non-goals: hiding
 * that this is a Pagemesh host, or its name; secrecy (noise gives it); revoking single hosts.
 *
 *   dialer                                     listener
 *     hello(version, nonce, name)  ------->
 *                                  <-------  hello(version, nonce, name)
 *     mac                          ------->
 *                                  <-------  mac
 *     verdict                      ------->
 *                                  <-------  verdict      then the muxer, if both accepted
 *
 *   state: awaiting hello -> awaiting mac -> awaiting verdict -> proved
 *            `--- malformed, wrong mac: stranger    `--- refused: the peer is a member, but may not join
 *
 *   mac = BLAKE3 keyed with memberKey over role, dialer's peer id, listener's peer id, dialer's hello and
 *   listener's hello, each preceded by its length; the role is the prover's, so that a mac cannot be
 *   sent back to who made it.
 *
 * While the cluster key is rotated, a host holds two keys: it shows a mac of each, and takes a mac of either. So hosts
 * that hold the old key, the new one or both remain one mesh, as long as each two have one in common.
 *
 * The caller bounds the whole in time and closes the connection when this rejects.
 */
export interface ProofChannel {
  /** Reads exactly `byteCount` bytes; rejects when the connection ends before. */
  read(byteCount: number): Promise<Uint8Array>
  write(bytes: Uint8Array): Promise<void>
}

export interface ProofInit {
  /** Read when they are needed: a key that is removed meanwhile proves nothing. */
  keys: MemberKeys
  role: 'dialer' | 'listener'
  selfPeerId: string
  remotePeerId: string
  /** This host's name. */
  name: string
  /** Tells this start of the host's mesh from all others, INSTANCE_BYTES. */
  instance: Uint8Array
  /** Whether a member of this name and identity may join here; an older one tells no instance. */
  admit: (name: string, peerId: string, instance: string | undefined) => Verdict
}

/** The peer does not hold the cluster key, or breaks the protocol of the proof. */
export class StrangerError extends Error {
  override readonly name = 'StrangerError'
}

/** The peer does the proof as it should, but holds another cluster key. */
export class OtherKeyError extends StrangerError {}

/** One of the two refused the other, which did prove the key. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly by: 'self' | 'peer'
  readonly holderName: string
  readonly holderPeerId: string

  constructor(by: 'self' | 'peer', verdict: Exclude<Verdict, { code: 'accepted' }>) {
    super(`the host name is taken by ${verdict.holderPeerId}`)
    this.by = by
    this.holderName = verdict.holderName
    this.holderPeerId = verdict.holderPeerId
  }
}

/** Resolves to the peer's name once both sides have proved the key and accepted each other. */
export async function proveMembership(
  channel: ProofChannel, components: { random: Random }, init: ProofInit,
): Promise<string> {
  const ownHello = helloOf(components, init)
  await channel.write(encodeFrame(ownHello))
  const { bytes: peerHello, message: hello } = await readMessage(channel, 'hello')
  if (hello.version !== PROOF_VERSION) throw new StrangerError(`the peer speaks version ${hello.version} of the proof`)

  const macsOf = (role: ProofInit['role']): ProofMacs => proofMacs(init, role, ownHello, peerHello)
  await channel.write(encodeFrame(encodeProofMessage({ kind: 'mac', ...macsOf(init.role) })))
  const { message: proof } = await readMessage(channel, 'mac')
  const expected = macsOf(init.role === 'dialer' ? 'listener' : 'dialer')
  if (!isProved(proof, expected)) throw new OtherKeyError('the peer holds another cluster key')

  const ownVerdict = init.admit(hello.name, init.remotePeerId, instanceOf(hello.nonce))
  await channel.write(encodeFrame(encodeProofMessage({ kind: 'verdict', verdict: ownVerdict })))
  const { message: { verdict } } = await readMessage(channel, 'verdict')
  if (verdict.code !== 'accepted') throw new RefusedError('peer', verdict)
  if (ownVerdict.code !== 'accepted') throw new RefusedError('self', ownVerdict)
  return hello.name
}

/**
 * Whether the peer, which holds this host's own private key, is another process than this one. An older one does not
 * say: then false, as for this host itself.
 */
export async function isAnotherOfUs(
  channel: ProofChannel, components: { random: Random }, init: Pick<ProofInit, 'name' | 'instance'>,
): Promise<boolean> {
  await channel.write(encodeFrame(helloOf(components, init)))
  const { message: { nonce } } = await readMessage(channel, 'hello')
  const other = instanceOf(nonce)
  return other !== undefined && other !== Buffer.from(init.instance).toString('hex')
}

function helloOf({ random }: { random: Random }, { name, instance }: Pick<ProofInit, 'name' | 'instance'>): Uint8Array {
  const nonce = makeNonce(instance, random.bytes(FRESH_BYTES))
  return encodeProofMessage({ kind: 'hello', version: PROOF_VERSION, nonce, name })
}

type ProofMacs = Pick<MessageOf<'mac'>, 'mac' | 'otherMac'>

/** Whether one of the macs shown is one of those expected. */
function isProved(shown: ProofMacs, expected: ProofMacs): boolean {
  let isOne = false
  for (const mac of macsIn(shown)) for (const own of macsIn(expected)) isOne = timingSafeEqual(mac, own) || isOne
  return isOne
}

function macsIn({ mac, otherMac }: ProofMacs): Uint8Array[] {
  return otherMac === undefined ? [mac] : [mac, otherMac]
}

function proofMacs(
  init: ProofInit, prover: ProofInit['role'], ownHello: Uint8Array, peerHello: Uint8Array,
): ProofMacs {
  const isDialer = init.role === 'dialer'
  const text = new TextEncoder()
  const parts = [
    text.encode(prover),
    text.encode(isDialer ? init.selfPeerId : init.remotePeerId),
    text.encode(isDialer ? init.remotePeerId : init.selfPeerId),
    isDialer ? ownHello : peerHello,
    isDialer ? peerHello : ownHello,
  ]
  const { memberKey, otherMemberKey } = init.keys
  const mac = macOf(memberKey, parts)
  return otherMemberKey === undefined ? { mac } : { mac, otherMac: macOf(otherMemberKey, parts) }
}

/** BLAKE3 keyed with a member key, over parts that are each preceded by its length. */
export function macOf(memberKey: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const hasher = Blake3Hasher.newKeyed(Buffer.from(memberKey))
  const counted = parts.flatMap((part) => [Uint8Array.of(part.length >>> 8, part.length & 0xff), part])
  hasher.update(bufferOver(concat(counted)))
  return new Uint8Array(hasher.digestBuffer())
}

type MessageOf<Kind> = Extract<ProofMessage, { kind: Kind }>

async function readMessage<Kind extends ProofMessage['kind']>(
  channel: ProofChannel, expected: Kind,
): Promise<{ bytes: Uint8Array; message: MessageOf<Kind> }> {
  const length = decodeFrameLength(await channel.read(2))
  if (length === undefined) throw new StrangerError(`awaiting ${expected}: no message is that long`)
  const bytes = await channel.read(length)
  const message = decodeProofMessage(bytes)
  if (message?.kind !== expected) {
    throw new StrangerError(`awaiting ${expected}: the peer sent ${message?.kind ?? 'no message of the proof'}`)
  }
  return { bytes, message: message as MessageOf<Kind> }
}
