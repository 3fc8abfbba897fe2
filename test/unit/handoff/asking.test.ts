import assert from 'node:assert/strict'

import { MAIN_ONLY } from '../../../src/guest/index.ts'
import { askVerdict, offerGuest } from '../../../src/handoff/asking.ts'
import {
  decodeOffer, decodeQuestion, encodeVerdict, HANDOFF_PROTOCOL, HANDOFF_VERSION, OUTCOME_PROTOCOL,
} from '../../../src/handoff/messages.ts'
import { MemoryNetwork, type Mesh, type MessageStream } from '../../../src/mesh/index.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { answerOffer } from '../../../src/transfer/index.ts'
import { ID } from '../../support/bothends.ts'
import { MACHINE } from '../../support/fakeguest.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

describe('what is said beside the lane', () => {
  const { signal } = new AbortController()
  const offer = {
    version: HANDOFF_VERSION, id: ID, guest: 'web', mode: 'precopy', plan: 'move', machine: MACHINE, beside: MAIN_ONLY,
  } as const

  async function meshes() {
    const network = new MemoryNetwork({ clock: new VirtualClock() })
    const [a, b] = [network.createMesh('a'), network.createMesh('b')]
    await a.start()
    await b.start()
    return { a, b, network }
  }

  it('is an offer, which brings the lane of whoever accepts it', async () => {
    const { a, b } = await meshes()
    b.handle(HANDOFF_PROTOCOL, async (stream, from) => {
      const { ticket, guest } = decodeOffer(await stream.receive())
      assert.equal(guest, 'web')
      await answerOffer(stream, { accepted: true })
      await b.dialLane(from, ticket, signal)
    })
    const { lane, offerBytes, answerBytes } = await offerGuest(a, 'b', offer, signal)
    await lane
    assert.ok(offerBytes > 100)
    assert.equal(answerBytes, '{"accepted":true}'.length)
  })

  it('is a refusal, in the words of the other host', async () => {
    const { a, b } = await meshes()
    b.handle(HANDOFF_PROTOCOL, async (stream) => {
      await stream.receive()
      await answerOffer(stream, { accepted: false, code: 'busy', message: 'Too many.' })
    })
    await assert.rejects(offerGuest(a, 'b', offer, signal), { code: 'busy', message: 'b refused the guest: Too many.' })
  })

  it('ends with its signal', async () => {
    const { a, b } = await meshes()
    b.handle(HANDOFF_PROTOCOL, async () => await new Promise(() => {}))
    const abort = new AbortController()
    const offering = offerGuest(a, 'b', offer, abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(offering, /enough/)
  })

  it('is a question, and a verdict', async () => {
    const { a, b } = await meshes()
    a.handle(OUTCOME_PROTOCOL, async (stream) => {
      assert.deepEqual(decodeQuestion(await stream.receive()), { id: ID, copy: { kind: 'whole' } })
      await stream.send(encodeVerdict({ verdict: 'kept' }))
    })
    assert.deepEqual(await askVerdict(b, 'a', { id: ID, copy: { kind: 'whole' } }, signal), { verdict: 'kept' })
    await a.stop()
    await assert.rejects(askVerdict(b, 'a', { id: ID, copy: { kind: 'whole' } }, signal), { code: 'host-unknown' })
  })

  const says: [string, string[], (stream: PlayedStream) => Promise<unknown>][] = [
    ['an offer', ['send', 'receive', 'close'], (stream) => offerGuest(stream.mesh, 'b', offer, signal)],
    ['a question', ['send', 'receive', 'close'],
      (stream) => askVerdict(stream.mesh, 'b', { id: ID, copy: { kind: 'whole' } }, signal)],
    ['an answer', ['send', 'close'], (stream) => answerOffer(stream, { accepted: true })],
  ]
  for (const [what, steps, say] of says) {
    it(`is done step by step, and done when its stream is closed: ${what}`, async () => {
      const stream = new PlayedStream()
      let isDone = false
      const saying = say(stream).then(() => { isDone = true })
      for (let step = 1; step <= steps.length; step++) {
        await settle(2)
        assert.deepEqual([stream.told, isDone], [steps.slice(0, step), false])
        stream.go()
      }
      await saying
    })

    it(`closes its stream where it fails: ${what}`, async () => {
      const stream = new PlayedStream()
      const saying = assert.rejects(say(stream), /no way/)
      await settle(2)
      stream.go(new Error('no way'))
      await settle(2)
      assert.deepEqual(stream.told, ['send', 'close'])
      stream.go()
      await saying
    })
  }
})

/** A stream each of whose steps waits for the test, and a mesh that opens it. It answers offers and questions. */
class PlayedStream implements MessageStream {
  readonly told: string[] = []
  readonly mesh: Mesh
  #step = deferred<void>()

  constructor() {
    this.mesh = {
      open: async () => this,
      offerLane: () => ({ ticket: { address: 'a', id: 'b', key: 'c' }, lane: new Promise(() => {}) }),
    } as unknown as Mesh
  }

  /** Lets the step that was begun last end. */
  go(error?: Error): void {
    const step = this.#step
    this.#step = deferred()
    if (error === undefined) step.resolve()
    else step.reject(error)
  }

  send(): Promise<void> {
    return this.#do('send')
  }

  async receive(): Promise<Uint8Array> {
    await this.#do('receive')
    return Buffer.from(JSON.stringify({ accepted: true, verdict: 'kept' }))
  }

  close(): Promise<void> {
    return this.#do('close')
  }

  abort(): void {}

  async #do(step: string): Promise<void> {
    this.told.push(step)
    await this.#step.promise
  }
}
