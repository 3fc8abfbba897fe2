import { concat } from 'uint8arrays/concat'

import { isHostName } from '../hostname.ts'

/**
 * Messages of the proof of membership. Grammar, integers big-endian:
 *
 *   frame   := length:u16 message            length 1 .. PROOF_LIMITS.messageBytes
 *   message := hello | mac | verdict
 *   hello   := 0x01 version:u8 nonce:32 name
 *   mac     := 0x02 mac:32 {1..2}            two while the prover's cluster key is rotated
 *   verdict := 0x03 code:u8 holderName holderPeerId
 *   name, holderName, holderPeerId := length:u8 UTF-8 bytes
 *
 *   nonce   := "pmi1" instance:12 fresh:16    older hosts: all 32 bytes are fresh
 *
 * Version 0 and verdict 0 are invalid. An instance is one start of a host's mesh. The holder is empty unless the
 * verdict is `name-taken`.
 */
export const PROOF_LIMITS = {
  messageBytes: 256,
  nameBytes: 63,
  peerIdBytes: 96,
} as const

export const PROOF_VERSION = 1
export const NONCE_BYTES = 32
const MAC_BYTES = 32
/** Begins the nonces of hosts that say which of their starts this is; by chance 4 bytes are rarely these. */
const INSTANCE_MARK = Uint8Array.of(0x70, 0x6d, 0x69, 0x31)
export const INSTANCE_BYTES = 12
const INSTANCE_END = INSTANCE_MARK.length + INSTANCE_BYTES
/** Bytes of a nonce that are fresh for each proof. */
export const FRESH_BYTES = NONCE_BYTES - INSTANCE_END

export type Verdict = { code: 'accepted' } | { code: 'name-taken'; holderName: string; holderPeerId: string }

export type ProofMessage =
  | { kind: 'hello'; version: number; nonce: Uint8Array; name: string }
  | { kind: 'mac'; mac: Uint8Array; otherMac?: Uint8Array }
  | { kind: 'verdict'; verdict: Verdict }

const HELLO = 1
const MAC = 2
const VERDICT = 3
const ACCEPTED = 1
const NAME_TAKEN = 2

/** A nonce of FRESH_BYTES that tells the instance. */
export function makeNonce(instance: Uint8Array, fresh: Uint8Array): Uint8Array {
  return concat([INSTANCE_MARK, instance, fresh], NONCE_BYTES)
}

/** The instance that a nonce tells, in hexadecimal; undefined for an older host's. */
export function instanceOf(nonce: Uint8Array): string | undefined {
  if (!INSTANCE_MARK.every((byte, index) => nonce[index] === byte)) return undefined
  return Buffer.from(nonce.subarray(INSTANCE_MARK.length, INSTANCE_END)).toString('hex')
}

/** The message without its frame's length. */
export function encodeProofMessage(message: ProofMessage): Uint8Array {
  switch (message.kind) {
    case 'hello':
      return concat([Uint8Array.of(HELLO, message.version), message.nonce, encodeText(message.name)])
    case 'mac':
      return concat([Uint8Array.of(MAC), message.mac, message.otherMac ?? new Uint8Array()])
    case 'verdict':
      return message.verdict.code === 'accepted'
        ? concat([Uint8Array.of(VERDICT, ACCEPTED), encodeText(''), encodeText('')])
        : concat([
          Uint8Array.of(VERDICT, NAME_TAKEN), encodeText(message.verdict.holderName),
          encodeText(message.verdict.holderPeerId),
        ])
  }
}

/** The message in `bytes`, whole; undefined if there is none. No exception: a stranger's bytes must stay cheap. */
export function decodeProofMessage(bytes: Uint8Array): ProofMessage | undefined {
  switch (bytes[0]) {
    case HELLO: return decodeHello(bytes)
    case MAC: return decodeMac(bytes)
    case VERDICT: return decodeVerdict(bytes)
    default: return undefined
  }
}

/** The message length in a frame's first two bytes; undefined if no message is that long. */
export function decodeFrameLength(bytes: Uint8Array): number | undefined {
  const length = bytes[0]! * 256 + bytes[1]!
  return length === 0 || length > PROOF_LIMITS.messageBytes ? undefined : length
}

export function encodeFrame(message: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(message.length >>> 8, message.length & 0xff), message])
}

function decodeHello(bytes: Uint8Array): ProofMessage | undefined {
  const version = bytes[1]!
  const nonceEnd = 2 + NONCE_BYTES
  const name = decodeText(bytes, nonceEnd, PROOF_LIMITS.nameBytes)
  if (version === 0 || name === undefined || name.end !== bytes.length || !isHostName(name.text)) return undefined
  return { kind: 'hello', version, nonce: bytes.slice(2, nonceEnd), name: name.text }
}

function decodeMac(bytes: Uint8Array): ProofMessage | undefined {
  const mac = bytes.slice(1, 1 + MAC_BYTES)
  if (bytes.length === 1 + MAC_BYTES) return { kind: 'mac', mac }
  return bytes.length === 1 + 2 * MAC_BYTES ? { kind: 'mac', mac, otherMac: bytes.slice(1 + MAC_BYTES) } : undefined
}

function decodeVerdict(bytes: Uint8Array): ProofMessage | undefined {
  const holderName = decodeText(bytes, 2, PROOF_LIMITS.nameBytes)
  if (holderName === undefined) return undefined
  const holderPeerId = decodeText(bytes, holderName.end, PROOF_LIMITS.peerIdBytes)
  if (holderPeerId === undefined || holderPeerId.end !== bytes.length) return undefined
  const isEmpty = holderName.text === '' && holderPeerId.text === ''
  if (bytes[1] === ACCEPTED && isEmpty) return { kind: 'verdict', verdict: { code: 'accepted' } }
  const isNamed = isHostName(holderName.text) && /^[A-Za-z0-9]+$/.test(holderPeerId.text)
  if (bytes[1] !== NAME_TAKEN || !isNamed) return undefined
  return {
    kind: 'verdict',
    verdict: { code: 'name-taken', holderName: holderName.text, holderPeerId: holderPeerId.text },
  }
}

function encodeText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  return concat([Uint8Array.of(bytes.length), bytes])
}

const textDecoder = new TextDecoder('utf-8', { fatal: false })

function decodeText(bytes: Uint8Array, offset: number, bytesMax: number): { text: string; end: number } | undefined {
  const length = bytes[offset]
  if (length === undefined || length > bytesMax) return undefined
  // Past the end if the message is cut short: the caller compares it with the message's length.
  const end = offset + 1 + length
  return { text: textDecoder.decode(bytes.subarray(offset + 1, end)), end }
}
