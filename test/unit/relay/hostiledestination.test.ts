import assert from 'node:assert/strict'

import type { Mesh } from '../../../src/mesh/index.ts'
import { answerPages, decodePrefixSet, type ListedPages } from '../../../src/page/index.ts'
import { RELAY_PROTOCOL } from '../../../src/relay/index.ts'
import {
  decodeRelayOffer, DESTINATION_LANGUAGE, type FromDestination, type FromSource,
} from '../../../src/relay/messages.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { answerOffer, Link } from '../../../src/transfer/index.ts'
import { idOf, page } from '../../support/madepages.ts'
import { settle } from '../../support/passagerelay.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { eventually, Hosts, scopes } from './hosts.ts'

const ID = idOf(page(1))
const CENSUS: ListedPages = {
  table: sortedTable([[ID.readUInt32BE(0), ID.readUInt32BE(4), 0]]), numberAt: (index) => index,
}

describe('a destination that says what it must not', () => {
  let hosts: Hosts
  let played: Mesh
  let heard: FromSource[]
  let lost: number
  let link: Link<FromDestination, FromSource>
  const { signal } = new AbortController()

  beforeEach(async () => {
    hosts = await new Hosts().start()
    played = hosts.network.createMesh('played')
    heard = []
    lost = 0
    played.handle(RELAY_PROTOCOL, async (stream, from) => {
      const { ticket } = decodeRelayOffer(await stream.receive())
      await answerOffer(stream, { accepted: true })
      link = new Link({ clock: systemClock, log: silentLog, lane: await played.dialLane(from, ticket, signal) }, {
        bytesPerSecondMax: Infinity, language: DESTINATION_LANGUAGE,
        onMessage: (message) => heard.push(message), onLost: () => { lost += 1 },
      })
    })
    await played.start()
  })

  afterEach(async () => {
    await hosts.stop()
    await played.stop()
  })

  /** A connection is asked for; what the source listed, answered. */
  async function bitmapOf(): Promise<Buffer> {
    await connect()
    const [census] = heard as [FromSource & { kind: 'census' }]
    return Buffer.from(await answerPages(await decodePrefixSet(census.body), () => false))
  }

  /** A connection is asked for, and the destination says it; what becomes of the connection. */
  async function connect(): Promise<{ carried: Promise<void> }> {
    const { carried } = ask()
    await eventually(() => heard.some(({ kind }) => kind === 'channel'))
    return { carried }
  }

  function ask(to = 'played'): { carried: Promise<void> } {
    const { carried } = hosts.connect({
      to,
      findGuest: async () => ({
        name: 'web', manager: undefined, process: undefined, census: CENSUS, scope: scopes.oldest,
      }),
    })
    carried.catch(() => {})
    return { carried }
  }

  it('may answer a census once', async () => {
    const body = await bitmapOf()
    link.say({ kind: 'bitmap', body })
    await eventually(() => heard.some(({ kind }) => kind === 'order'))
    assert.equal(lost, 0)
    link.say({ kind: 'bitmap', body })
    await eventually(() => lost === 1)
  })

  it('may be lost once its QEMU was dialled, and before its lane is there: that is heeded at once', async () => {
    const { carried } = await connect()
    link.say({ kind: 'opened', number: 0 })
    const begunAt = systemClock.now()
    await link.close()
    await assert.rejects(carried, { code: 'not-carried' })
    assert.ok(systemClock.now() - begunAt < 2000, 'no time-out has passed')
  })

  it('may leave the mesh when it has taken an offer and not dialled yet: that is heeded at once', async () => {
    const other = hosts.network.createMesh('other')
    const answered = Promise.withResolvers<void>()
    other.handle(RELAY_PROTOCOL, async (stream) => {
      await stream.receive()
      await answerOffer(stream, { accepted: true })
      answered.resolve()
    })
    await other.start()
    const { carried } = ask('other')
    await answered.promise
    const begunAt = systemClock.now()
    await other.stop()
    await assert.rejects(carried, { code: 'not-carried' })
    assert.ok(systemClock.now() - begunAt < 2000, 'no time-out has passed')
  })

  it('may tell of pages that came, if they are of those that were ordered', async () => {
    const body = await bitmapOf()
    link.say({ kind: 'bitmap', body })
    await eventually(() => heard.some(({ kind }) => kind === 'order'))
    const number = Buffer.alloc(4)
    link.say({ kind: 'fetched', body: number })
    link.say({ kind: 'opened', number: 99 })
    await settle()
    assert.equal(lost, 0)
    link.say({ kind: 'fetched', body: Buffer.alloc(3) })
    await eventually(() => lost === 1)
  })
})
