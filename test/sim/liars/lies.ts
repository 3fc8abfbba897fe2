/** How a lying member answers a challenge about pages that it does not hold. */
import type { Mesh, MessageStream } from '../../../src/mesh/index.ts'
import { POSSESSION_PROTOCOL, PROOF_BYTES } from '../../../src/possession/proof.ts'
import type { Chance } from '../../support/chance.ts'

export interface LiarAtWork {
  mesh: Mesh
  chance: Chance
  victim: string
  /** An honest host with common pages; the victim, if there is none. */
  honest: string
  /** The mesh of another lying member, if there is one. */
  colluder: () => Mesh | undefined
  /** Answers that it has seen, its own and others'. */
  seen: Uint8Array[]
  signal: AbortSignal
}

/** Returns the answer to a challenge; undefined breaks the stream. */
export type Lie = (challenge: Uint8Array, liar: LiarAtWork) => Promise<Uint8Array | undefined>

const HEAD_BYTES = 17
const PREFIX_BYTES = 8

export const LIES: Readonly<Record<string, Lie>> = {
  'claims all with any proof': async (challenge, { chance }) => answer(challenge, 0xff, chance.bytes(PROOF_BYTES)),
  'claims one page with any proof': async (challenge, { chance }) => answer(challenge, 1, chance.bytes(PROOF_BYTES)),
  'claims none': async (challenge, { chance }) => answer(challenge, 0, chance.bytes(PROOF_BYTES)),
  'gives the nonce back': async (challenge) => answer(challenge, 0xff, challenge.subarray(1, HEAD_BYTES)),
  'echoes what the victim answers': async (challenge, liar) => await pass(challenge, liar.victim, liar),
  'passes on what another host answers': async (challenge, liar) => await pass(challenge, liar.honest, liar),
  'has a colluding host ask the victim': async (challenge, liar) =>
    await pass(challenge, liar.victim, { ...liar, mesh: liar.colluder() ?? liar.mesh }),
  'replays what it has seen': async (challenge, liar) => {
    // At least one answer of the victim itself, about the same pages.
    await pass(withNonce(challenge, liar.chance.bytes(16)), liar.victim, liar)
    return liar.seen[liar.chance.below(liar.seen.length)]
  },
  'gives the proof of nothing, and claims all': async (challenge, liar) => {
    const none = challenge.slice()
    // Prefixes that nobody holds: the answer contains the victim's proof for no pages.
    none.fill(0xee, HEAD_BYTES)
    const proof = (await pass(none, liar.victim, liar))?.slice(-PROOF_BYTES)
    return proof === undefined ? undefined : answer(challenge, 0xff, proof)
  },
  'answers with less than an answer': async (challenge) => answer(challenge, 0xff, new Uint8Array(3)),
  'breaks the stream': async () => undefined,
}

function withNonce(challenge: Uint8Array, nonce: Uint8Array): Uint8Array {
  const other = challenge.slice()
  other.set(nonce, 1)
  return other
}

function answer(challenge: Uint8Array, bits: number, proof: Uint8Array): Uint8Array {
  const count = (challenge.length - HEAD_BYTES) / PREFIX_BYTES
  const bitmap = new Uint8Array(Math.ceil(count / 8)).fill(bits)
  const bitsOver = bitmap.length * 8 - count
  bitmap[bitmap.length - 1]! &= 0xff >>> bitsOver
  return Buffer.concat([Uint8Array.of(1), bitmap, proof])
}

/** Sends a challenge to another host as its own; undefined if that does not answer. */
async function pass(
  challenge: Uint8Array, host: string, { mesh, seen, signal }: LiarAtWork,
): Promise<Uint8Array | undefined> {
  let stream: MessageStream | undefined
  try {
    stream = await mesh.open(host, POSSESSION_PROTOCOL, signal)
    await stream.send(challenge)
    const heard = await stream.receive(signal)
    seen.push(heard)
    await stream.close()
    return heard
  } catch {
    // The other host does not serve the protocol, or not any more.
    stream?.abort(new Error('no answer'))
    return undefined
  }
}
