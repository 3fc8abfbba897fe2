import assert from 'node:assert/strict'

import { answerPages, decodePrefixSet, type ListedPages } from '../../../src/page/index.ts'
import type { Mesh } from '../../../src/mesh/index.ts'
import { RELAY_PROTOCOL } from '../../../src/relay/index.ts'
import {
  decodeRelayOffer, DESTINATION_LANGUAGE, type FromDestination, type FromSource,
} from '../../../src/relay/messages.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { answerOffer, Link } from '../../../src/transfer/index.ts'
import { sortedTable } from '../page/sortedtables.ts'
import { idOf, page } from '../passage/made.ts'
import { settle } from '../passage/relay.ts'
import { eventually, Hosts } from './hosts.ts'

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
    const { carried } = hosts.connect({
      to: 'played', findGuest: async () => ({ name: 'web', manager: undefined, process: undefined, census: CENSUS }),
    })
    carried.catch(() => {})
    await eventually(() => heard.some(({ kind }) => kind === 'channel'))
    const [census] = heard as [FromSource & { kind: 'census' }]
    return Buffer.from(answerPages(decodePrefixSet(census.body), () => false))
  }

  it('may answer a census once', async () => {
    const body = await bitmapOf()
    link.say({ kind: 'bitmap', body })
    await eventually(() => heard.some(({ kind }) => kind === 'order'))
    assert.equal(lost, 0)
    link.say({ kind: 'bitmap', body })
    await eventually(() => lost === 1)
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
