import assert from 'node:assert/strict'

import type { Reason } from '../../../src/conversation/index.ts'
import { encodePrefixSet } from '../../../src/page/index.ts'
import { RELAY_PROTOCOL } from '../../../src/relay/index.ts'
import {
  encodeRelayOffer, SOURCE_LANGUAGE, type FromDestination, type FromSource,
} from '../../../src/relay/messages.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { Link, offerLink } from '../../../src/transfer/index.ts'
import { page } from '../../support/madepages.ts'
import { eventually, Hosts } from './hosts.ts'

const TICKET = { address: 'a:1', id: 'ab', key: 'cd' }
const CENSUS = Buffer.from(await encodePrefixSet({ bits: 32, prefixes: Float64Array.of(1, 2, 3) }))

describe('a member that asks for a relay and means harm', () => {
  let hosts: Hosts
  let heard: FromDestination[]
  let lost: Reason[]

  beforeEach(async () => {
    hosts = await new Hosts({ pages: [page(1)] }).start()
    heard = []
    lost = []
  })

  afterEach(async () => hosts.stop())

  async function ask(id = 'ab'.repeat(16)): Promise<Link<FromSource, FromDestination>> {
    const address = { kind: 'unix', path: hosts.path } as const
    const { lane } = await offerLink(hosts.meshes.a, { to: 'b', protocol: RELAY_PROTOCOL },
      (ticket) => encodeRelayOffer({ id, guest: undefined, manager: undefined, address, ticket }),
      new AbortController().signal)
    return new Link({ clock: systemClock, log: silentLog, lane: await lane }, {
      bytesPerSecondMax: Infinity, language: SOURCE_LANGUAGE,
      onMessage: (message) => heard.push(message), onLost: (reason) => lost.push(reason),
    })
  }

  it('learns nothing of the pages here unless it has a connection made', async () => {
    const link = await ask()
    link.say({ kind: 'census', body: CENSUS })
    link.say({ kind: 'end' })
    await eventually(() => heard.some(({ kind }) => kind === 'summary'))
    assert.deepEqual(heard.map(({ kind }) => kind), ['summary'])
    assert.deepEqual(hosts.arrived, [])
  })

  const harms: [string, FromSource[]][] = [
    ['a connection out of its turn', [{ kind: 'channel', number: 1, ticket: TICKET }]],
    ['a second census', [{ kind: 'census', body: CENSUS }, { kind: 'census', body: CENSUS }]],
    ['an order of what it has not listed', [{ kind: 'order', body: Buffer.alloc(2) }]],
    ['a census that is none', [{ kind: 'census', body: Buffer.from('x') }]],
    ['more connections than a migration has', Array.from({ length: 19 }, (_, number) =>
      ({ kind: 'channel', number, ticket: TICKET }))],
  ]
  for (const [what, messages] of harms) {
    it(`is left at ${what}`, async () => {
      const link = await ask()
      for (const message of messages) link.say(message)
      await eventually(() => lost.length === 1 && hosts.incoming.running().length === 0, 15_000)
      await eventually(() => hosts.standing.b === 0)
    })
  }

  it('has a bounded number of them', async () => {
    for (let count = 0; count < 16; count++) await ask(count.toString(16).padStart(32, '0'))
    await assert.rejects(ask(), { code: 'busy' })
    assert.deepEqual(hosts.refused, ['busy'])
  })

  it('makes no connection with a ticket that is not its own', async () => {
    const link = await ask()
    link.say({ kind: 'channel', number: 0, ticket: TICKET })
    await eventually(() => heard.some(({ kind }) => kind === 'refused'))
    await eventually(() => hosts.arrived.every(({ hasEnded, isClosed }) => hasEnded() || isClosed()))
  })
})
