import assert from 'node:assert/strict'

import { Arrivals, UNPROVEN_BYTES_MAX, type Unproven } from '../../../../src/mesh/admission/arrivals.ts'
import { KnownHosts } from '../../../../src/mesh/admission/knownhosts.ts'
import { Strangers } from '../../../../src/mesh/admission/strangers.ts'
import { silentLog, type LogFields } from '../../../../src/runtime/log.ts'
import { VirtualClock } from '../../../support/time.ts'

interface Port {
  clock: VirtualClock
  events: string[]
  arrive: (name: string, host?: string) => Unproven
}

/** A port with a few places, by default two an address and three in all, each for a second. */
function opened(limits = { roomMax: 3, addressMax: 2, limitMs: 1_000 }): Port {
  const clock = new VirtualClock()
  const events: string[] = []
  const arrivals = new Arrivals({ clock }, {
    limits,
    isKnown: () => false,
    stranger: (host, reason) => events.push(`${clock.now()} stranger ${host}: ${reason}`),
  })
  return {
    clock, events,
    arrive: (name, host = '10.0.0.1') =>
      arrivals.arrived({ host, drop: () => events.push(`${clock.now()} dropped ${name}`) }),
  }
}

function advance(clock: VirtualClock, ms: number): Promise<void> {
  return clock.run(clock.now() + ms)
}

describe('connections that arrive', () => {
  it('are dropped and counted when there is no room for them', () => {
    const { events, arrive } = opened()
    arrive('a')
    arrive('b').spoke()
    arrive('c')
    assert.deepEqual(events, ['0 stranger 10.0.0.1: there was no room for it', '0 dropped a'])
  })

  it('are dropped and counted when they do not prove themselves in time, and left alone once they do', async () => {
    const { clock, events, arrive } = opened()
    arrive('a')
    arrive('proved', '10.0.0.2').leave()
    await advance(clock, 500)
    arrive('b').spoke()
    await advance(clock, 999)
    assert.deepEqual(events, ['1000 stranger 10.0.0.1: it did not prove the cluster key in time', '1000 dropped a'])
    await advance(clock, 1)
    assert.equal(events.at(-1), '1500 dropped b')
    assert.equal(events.length, 4)
  })

  it('that came together are dropped a few at a time when they are overdue', async () => {
    const { clock, events, arrive } = opened({ roomMax: 100, addressMax: 100, limitMs: 1_000 })
    for (let count = 0; count < 60; count += 1) arrive(String(count))
    const droppedBy = async (ms: number): Promise<number> => {
      await clock.run(ms)
      return events.filter((event) => event.includes('dropped')).length
    }
    assert.deepEqual([await droppedBy(1_000), await droppedBy(1_050), await droppedBy(1_100)], [25, 50, 60])
  })

  it('are dropped when they send more than a proof takes, once', () => {
    const { events, arrive } = opened()
    assert.equal(UNPROVEN_BYTES_MAX, 2_048)
    const connection = arrive('a')
    connection.read(UNPROVEN_BYTES_MAX)
    assert.deepEqual(events, [])
    connection.read(1)
    connection.read(1)
    connection.fail('again')
    assert.equal(events.length, 2)
    const proved = arrive('b')
    proved.leave()
    proved.read(UNPROVEN_BYTES_MAX + 1)
    assert.equal(events.length, 2)
  })
})

describe('strangers', () => {
  it('are all counted, and logged once a minute at most, with how many there were', async () => {
    const clock = new VirtualClock()
    const lines: unknown[] = []
    const log = { ...silentLog, warn: (_message: string, fields?: LogFields) => { lines.push(fields?.count) } }
    const strangers = new Strangers({ clock, log })
    for (let count = 0; count < 1_000; count += 1) strangers.note('10.0.0.1', 'no key')
    assert.deepEqual(lines, [1])
    await advance(clock, 60_000)
    assert.deepEqual(lines, [1, 999])
    strangers.note('10.0.0.1', 'no key')
    await advance(clock, 60_000)
    assert.deepEqual(lines, [1, 999, 1])
    await advance(clock, 600_000)
    strangers.note('10.0.0.2', 'no key')
    strangers.note('10.0.0.2', 'no key')
    strangers.stop()
    assert.deepEqual(lines, [1, 999, 1, 1, 1])
    assert.equal(clock.pendingCount, 0)
    await advance(clock, 600_000)
    assert.equal(lines.length, 5)
    strangers.stop()
    assert.equal(lines.length, 5, 'there was nothing to say')
    strangers.note('10.0.0.2', 'no key')
    assert.deepEqual(lines, [1, 999, 1, 1, 1, 1])
    assert.equal(strangers.count, 1_004)
    strangers.stop()
  })

  it('are named, the last of them', async () => {
    const clock = new VirtualClock()
    const lines: unknown[] = []
    const log = { ...silentLog, warn: (_message: string, fields?: LogFields) => { lines.push(fields) } }
    const strangers = new Strangers({ clock, log })
    for (const from of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) strangers.note(from, `no key of ${from}`)
    await advance(clock, 60_000)
    assert.deepEqual(lines, [
      { count: 1, last: { from: '10.0.0.1', reason: 'no key of 10.0.0.1' } },
      { count: 2, last: { from: '10.0.0.3', reason: 'no key of 10.0.0.3' } },
    ])
  })
})

describe('known hosts', () => {
  it('are those of multiaddrs, and the ones not met for longest are forgotten', () => {
    const known = new KnownHosts()
    known.add('/ip4/10.0.0.1/tcp/4001/p2p/12D3KooW')
    known.add('/dns4/host-a/tcp/4001')
    known.add('/ip6/2001:db8::1/tcp/4001')
    assert.ok(known.has('::ffff:10.0.0.1') && known.has('2001:db8::2') && !known.has('host-a'))
    for (let index = 2; index < 2_048; index += 1) known.add(`/ip4/10.1.${index >> 8}.${index & 255}/tcp/1`)
    const kept = (): boolean[] => ['10.0.0.1', '2001:db8::1', '10.1.7.255', '10.1.0.2'].map((host) => known.has(host))
    assert.deepEqual(kept(), [true, true, true, true])
    known.add('/ip4/10.0.0.1/tcp/4001')
    known.add('/ip4/10.2.0.1/tcp/4001')
    assert.deepEqual(kept(), [true, false, true, true])
    known.add('/ip4/10.2.0.2/tcp/4001')
    assert.deepEqual(kept(), [true, false, true, false])
  })
})
