import { setBit } from '../bytes/bits.ts'
import type { Member, Mesh, MessageStream, Standing, StreamTraffic, Unsubscribe } from '../mesh/index.ts'
import {
  idsOf, PAGE_BYTES, PageBatch, PREFIX_BYTES, verified, type PageSource, type PageVerifier,
} from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { LIMITS } from './limits.ts'
import { decodeChallenge, encodeAnswer, POSSESSION_PROTOCOL, type Challenge, type Prover } from './proof.ts'

interface Components {
  mesh: Mesh
  standing: Standing
  hasher: PageVerifier
  /** Pages in guests of this host. Stored pages do not count: they are kept for others, or of guests that left. */
  resident: PageSource
  prover: Prover
  traffic: StreamTraffic
}

/** Answers challenges from other members, about this host's guests only. */
export class Witness {
  readonly #components: Components
  readonly #source: PageSource
  readonly #room = Buffer.alloc(LIMITS.pagesPerChallenge * PAGE_BYTES)
  readonly #streams = new Map<string, number>()
  /** One challenge is answered at a time, whoever asks: there is one buffer for its pages. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(components: Components) {
    this.#components = components
    this.#source = verified(components.resident, components.hasher)
  }

  listen(signal: AbortSignal): Unsubscribe {
    return this.#components.mesh.handle(POSSESSION_PROTOCOL, (stream, from) => this.#serve(stream, from, signal))
  }

  async #serve(stream: MessageStream, from: Member, signal: AbortSignal): Promise<void> {
    const { standing, traffic } = this.#components
    const streams = this.#streams.get(from.peerId) ?? 0
    if (streams >= LIMITS.streamsPerMember) throw refused('it asks over too many streams')
    this.#streams.set(from.peerId, streams + 1)
    try {
      for (;;) {
        const challenge = decodeChallenge(await traffic.receive(stream, signal))
        if (!standing.isTrusted(from.peerId)) throw refused('it has lost its standing')
        await traffic.send(stream, await this.#answerInTurn(challenge, from, signal), signal)
      }
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'bad-possession') standing.fault(from.peerId, 1)
      throw error
    } finally {
      const left = this.#streams.get(from.peerId)! - 1
      if (left === 0) this.#streams.delete(from.peerId)
      else this.#streams.set(from.peerId, left)
    }
  }

  #answerInTurn(challenge: Challenge, from: Member, signal: AbortSignal): Promise<Uint8Array> {
    const answer = this.#turn.then(() => this.#answer(challenge, from, signal))
    // The caller gets the error; the next challenge only waits for the end.
    this.#turn = answer.catch(() => undefined)
    return answer
  }

  async #answer({ nonce, prefixes }: Challenge, from: Member, signal: AbortSignal): Promise<Uint8Array> {
    const { mesh, prover } = this.#components
    const batch = new PageBatch(idsOf(prefixes), this.#room, PREFIX_BYTES)
    await this.#source.fill(batch, signal)
    const bitmap = new Uint8Array(Math.ceil(prefixes.count / 8))
    for (let place = 0; place < prefixes.count; place++) if (batch.isFilled(place)) setBit(bitmap, place)
    const offsets = Uint32Array.from({ length: prefixes.count }, (_, place) => place * PAGE_BYTES)
    const context = { nonce, challengerPeerId: from.peerId, witnessPeerId: mesh.self.peerId }
    return encodeAnswer({ bitmap, proof: prover.proofOf(context, bitmap, this.#room, offsets) })
  }
}

function refused(why: string): PagemeshError {
  return new PagemeshError('possession-refused', `A challenge is not answered: ${why}.`, {
    fault: 'peer', phase: 'possession',
  })
}
