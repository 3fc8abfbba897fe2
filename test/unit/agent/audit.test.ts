import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { createAudit, type Audit, type AuditEvent } from '../../../src/agent/audit.ts'
import { auditedHistory } from '../../../src/agent/auditedhistory.ts'
import { AuditTally } from '../../../src/agent/audittally.ts'
import { createHistory } from '../../../src/agent/history.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { resultOf } from '../../support/fakeagent.ts'
import { madeDirectory } from '../../support/madestore.ts'
import { VirtualClock } from '../../support/time.ts'

const directory = madeDirectory()
const PAGES: AuditEvent = { event: 'pages', member: 'b', peerId: 'peerB', pages: 100 }
const OFFER: AuditEvent = { event: 'offer-refused', member: 'b', guest: 'web', code: 'not-accepted' }
let count = 0

describe('the audit log', () => {
  let path = ''
  let clock: VirtualClock
  const errors: string[] = []
  const log: Log = { ...silentLog, error: (message) => { errors.push(message) } }
  const running: Audit[] = []

  async function opened(init: { bytesMax?: number; everyMinute?: () => AuditEvent[] } = {}): Promise<Audit> {
    const audit = createAudit({ clock, log }, { path, ...init })
    running.push(audit)
    await audit.start()
    return audit
  }

  beforeEach(() => {
    clock = new VirtualClock()
    path = join(directory, `audit-${count++}`, 'host-a.audit')
    errors.length = 0
  })
  afterEach(async () => {
    for (const audit of running.splice(0)) await audit.stop()
  })

  it('tells newest first what happened, for its owner alone, and goes on after a restart', async () => {
    const first = await opened()
    first.note({ event: 'name-accepted', name: 'b', peerId: 'peerX', before: 'peerB' })
    await first.stop()
    const second = await opened()
    second.note({ event: 'name-accepted', name: 'c', peerId: 'peerY', before: null })
    const records = await second.last(10)
    assert.deepEqual(records.map((record) => record.event === 'name-accepted' && record.name), ['c', 'b'])
    assert.match(records[0]!.at, /^\d{4}-\d\d-\d\dT.*Z$/)
    assert.equal((await second.last(1)).length, 1)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('has the handoffs of the history', async () => {
    const audit = await opened()
    const history = auditedHistory(createHistory({ clock, log }, { path: `${path}.history` }), audit)
    await history.add(resultOf({ guest: 'web', to: 'host-b' }, 'completed'), { direction: 'outgoing' })
    assert.equal(history.list().length, 1)
    const [{ at: _at, ...record } = assert.fail()] = await audit.last(1)
    assert.deepEqual(record, {
      event: 'handoff', direction: 'outgoing', guest: 'web', from: 'host-a', to: 'host-b', mode: 'precopy',
      status: 'completed',
    })
  })

  it('adds up in a minute what members can repeat, for each of them', async () => {
    const strangers: AuditEvent[] = [{ event: 'strangers', count: 3 }]
    const audit = await opened({ everyMinute: () => strangers.splice(0) })
    for (let n = 0; n < 1000; n++) {
      audit.note(PAGES)
      audit.note(OFFER)
    }
    audit.note({ ...PAGES, member: 'c', peerId: 'peerC' })
    await clock.run(60_000)
    // Written by the system in time of its own.
    await audit.last(1)
    const lines = (await readFile(path, 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as AuditEvent)
    assert.deepEqual(lines.map((line) => [line.event, 'pages' in line ? line.pages : 'count' in line && line.count]),
      [['pages', 100_000], ['offer-refused', 1000], ['pages', 100], ['strangers', 3]])
  })

  it('adds up who was refused an invitation, and has a line of its own for who got the key', () => {
    const tally = new AuditTally()
    const refused = { event: 'join-refused', invitation: 'ab', from: '10.0.0.4', why: 'unproven' } as const
    for (let n = 0; n < 1000; n++) assert.ok(tally.add(refused))
    assert.ok(tally.add({ ...refused, why: 'used' }))
    assert.ok(!tally.add({ event: 'joined', invitation: 'ab', name: 'host-d', from: '10.0.0.4' }))
    assert.deepEqual(tally.take(), [{ ...refused, count: 1000 }, { ...refused, why: 'used', count: 1 }])
  })

  it('has one older file and no more, each bounded', async () => {
    const audit = await opened({ bytesMax: 1000 })
    for (let n = 0; n < 100; n++) {
      audit.note({ event: 'name-accepted', name: `host-${n}`, peerId: 'peerX', before: null })
      await audit.last(1)
    }
    assert.deepEqual((await readdir(join(path, '..'))).sort(), ['host-a.audit', 'host-a.audit.old'])
    for (const file of [path, `${path}.old`]) assert.ok((await stat(file)).size < 1200)
    const names = (await audit.last(15)).map((record) => 'name' in record && record.name)
    assert.deepEqual(names.slice(0, 9), Array.from({ length: 9 }, (_, index) => `host-${99 - index}`))
  })

  it('stops nothing when it cannot be written, says so once a minute, and writes it when it can', async () => {
    await mkdir(join(path, '..', '..'), { recursive: true })
    await writeFile(join(path, '..'), 'in the way')
    const audit = await opened()
    for (let n = 0; n < 10; n++) {
      audit.note({ event: 'name-accepted', name: `host-${n}`, peerId: 'peerX', before: null })
      // It waits for what is written; then there is nothing that could be read.
      await assert.rejects(audit.last(1), { code: 'ENOTDIR' })
      await clock.run(clock.now() + 20_000)
    }
    assert.ok(errors.length === 3 || errors.length === 4, String(errors.length))
    await rm(join(path, '..'))
    assert.equal((await audit.last(100)).length, 10)
  })

  it('leaves out what a crash left half written, and writes nothing to its end', async () => {
    const audit = await opened()
    audit.note({ event: 'name-accepted', name: 'b', peerId: 'peerX', before: null })
    await audit.stop()
    await writeFile(path, `${await readFile(path, 'utf8')}{"at":"2026`)
    const again = await opened()
    again.note({ event: 'name-accepted', name: 'c', peerId: 'peerX', before: null })
    assert.deepEqual((await again.last(10)).map((record) => 'name' in record && record.name), ['c', 'b'])
  })

  it('has no character that changes a terminal', async () => {
    const audit = await opened()
    audit.note({ ...OFFER, guest: '\u001b[2Jweb\u202e' })
    await audit.last(1)
    assert.match(await readFile(path, 'utf8'), /"guest":"\\u001b\[2Jweb\\u202e"/)
  })
})

describe('the sums of a minute', () => {
  it('are bounded: what is more is a number', () => {
    const tally = new AuditTally()
    for (let n = 0; n < 1000; n++) assert.ok(tally.add({ ...OFFER, guest: `web-${n}` }))
    const events = tally.take()
    assert.deepEqual([events.length, events.at(-1)], [257, { event: 'lost', count: 744 }])
    assert.deepEqual(tally.take(), [])
  })

  it('are made of arrivals that came to nothing, and never of guests that moved', () => {
    const tally = new AuditTally()
    const handoff = {
      event: 'handoff', direction: 'incoming', guest: 'web', from: 'b', to: 'a', mode: 'precopy',
    } as const
    assert.ok(!tally.add({ ...handoff, status: 'completed' }))
    assert.ok(!tally.add({ ...handoff, direction: 'outgoing', status: 'failed' }))
    for (let n = 0; n < 5; n++) assert.ok(tally.add({ ...handoff, status: 'failed', code: 'no-waiting-guest' }))
    assert.deepEqual(tally.take(), [{ ...handoff, status: 'failed', code: 'no-waiting-guest', count: 5 }])
  })
})
