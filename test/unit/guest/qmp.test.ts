import { strict as assert } from 'node:assert'
import { getEventListeners } from 'node:events'
import { closeSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { connectQmp, type QmpClient, type QmpEvent } from '../../../src/guest/index.ts'
import { parseQmpLine, QmpCutter } from '../../../src/guest/qmpline.ts'
import { canPassDescriptors, connectedPair } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { until } from '../../support/endpointcontract.ts'
import { VirtualClock } from '../../support/time.ts'
import { FakeQemu } from './fakeqemu.ts'

const options = { clock: systemClock, log: silentLog }

describe('QMP', () => {
  let directory: string
  let path: string
  let fake: FakeQemu
  let qmp: QmpClient | undefined

  beforeEach(async () => {
    directory = mkdtempSync('/tmp/qmp-test-')
    path = join(directory, 'vm.qmp')
    fake = await FakeQemu.listen(path)
  })

  afterEach(async () => {
    await qmp?.close()
    qmp = undefined
    await fake.close()
    rmSync(directory, { recursive: true })
  })

  it('greets, runs commands and knows the version', async () => {
    qmp = await connectQmp(path, options)
    assert.deepEqual(qmp.version, { major: 7, minor: 2, micro: 22 })
    fake.answer = (command, args) => ({ value: { command, args } })
    const [first, second] = await Promise.all([qmp.execute('one', { a: 1 }), qmp.execute('two')])
    assert.deepEqual(first, { command: 'one', args: { a: 1 } })
    assert.deepEqual(second, { command: 'two', args: {} })
    assert.deepEqual(fake.commands, ['qmp_capabilities', 'one', 'two'])
  })

  it('hands over the text of a human monitor command', async () => {
    qmp = await connectQmp(path, options)
    fake.answer = (_command, args) => ({ value: `ran ${String(args['command-line'])}\r\n` })
    assert.equal(await qmp.hmp('info ramblock'), 'ran info ramblock\r\n')
  })

  it('reports errors in QEMU\'s own words', async () => {
    qmp = await connectQmp(path, options)
    fake.answer = () => ({ errorClass: 'GenericError', description: 'Guest is waiting for an incoming migration' })
    await assert.rejects(qmp.execute('migrate'), (error) => {
      assert.equal(codeOf(error), 'qmp-error')
      assert.match((error as Error).message, /QEMU refused migrate: Guest is waiting for an incoming migration\./)
      assert.equal((error as PagemeshError).data['class'], 'GenericError')
      return true
    })
  })

  it('hands over events, also between replies and in pieces', async () => {
    qmp = await connectQmp(path, options)
    const events: QmpEvent[] = []
    const seen = Promise.withResolvers<void>()
    const forget = qmp.onEvent((event) => {
      events.push(event)
      if (events.length === 2) seen.resolve()
    })
    fake.say('{"event": "STOP", "timestamp": {}}\r\n{"event": "MIGR')
    fake.say('ATION", "data": {"status": "active"}}\r\n')
    await qmp.execute('query-status')
    await seen.promise
    assert.deepEqual(events, [{ name: 'STOP', data: {} }, { name: 'MIGRATION', data: { status: 'active' } }])
    forget()
    fake.say('{"event": "RESUME"}\r\n')
    await qmp.execute('query-status')
    assert.equal(events.length, 2)
  })

  it('says that the socket is busy while another client is served, and gets its turn after', async () => {
    const other = await connectQmp(path, options)
    await assert.rejects(connectQmp(path, { ...options, timeoutMs: 30 }), (error) => codeOf(error) === 'qmp-busy')
    const waiting = connectQmp(path, options)
    await other.close()
    qmp = await waiting
  })

  it('says that the guest is gone when nobody listens', async () => {
    await assert.rejects(connectQmp(`${path}.absent`, options), (error) => codeOf(error) === 'guest-gone')
  })

  it('fails what waits, and says so, when the guest hangs up', async () => {
    qmp = await connectQmp(path, options)
    fake.answer = () => 'silence'
    const pending = qmp.execute('migrate')
    fake.hangUp()
    await assert.rejects(pending, (error) => codeOf(error) === 'guest-gone')
    assert.equal(codeOf(await qmp.lost), 'guest-gone')
    await assert.rejects(qmp.execute('query-status'), (error) => codeOf(error) === 'guest-gone')
  })

  it('gives up on a command that is not answered, and takes no later answer for another\'s', async () => {
    qmp = await connectQmp(path, options)
    fake.answer = () => 'silence'
    await assert.rejects(qmp.execute('migrate', {}, 20), (error) => codeOf(error) === 'qmp-timeout')
    fake.say('{"return": "late", "id": 2}\r\n')
    fake.answer = () => ({ value: 'now' })
    assert.equal(await qmp.execute('query-status'), 'now')
  })

  it('gives up connecting when its signal aborts, and outlives the signal once it is connected', async () => {
    const other = await connectQmp(path, options)
    const early = new AbortController()
    const waiting = connectQmp(path, { ...options, signal: early.signal })
    early.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    await other.close()
    const late = new AbortController()
    qmp = await connectQmp(path, { ...options, signal: late.signal })
    late.abort(new Error('too late'))
    assert.deepEqual(await qmp.execute('query-status'), {})
  })

  it('hands over what QEMU said before it ended, although a command to it failed meanwhile', async () => {
    qmp = await connectQmp(path, options)
    const events: string[] = []
    qmp.onEvent((event) => events.push(event.name))
    const said = Promise.withResolvers<void>()
    fake.answer = () => {
      for (let i = 0; i < 100; i++) fake.say(`{"event": "LAST${i}"}\r\n`)
      fake.hangUp()
      said.resolve()
      return 'silence'
    }
    const first = qmp.execute('query-status')
    await said.promise
    // Written to a connection that the other side has closed, before its last words were read.
    const second = qmp.execute('query-migrate')
    await assert.rejects(first)
    await assert.rejects(second)
    assert.equal(events.length, 100)
  })

  it('says a command out of band where that is offered, and in turn where it is not', async () => {
    qmp = await connectQmp(path, options)
    await qmp.executeOutOfBand('migrate-recover', {})
    assert.deepEqual(fake.outOfBand, [])
    await qmp.close()
    fake.greeting = fake.greeting.replace('"capabilities": []', '"capabilities": ["oob"]')
    qmp = await connectQmp(path, options)
    assert.deepEqual(fake.enabled, ['oob'])
    await qmp.executeOutOfBand('migrate-recover', {})
    assert.deepEqual(fake.outOfBand, ['migrate-recover'])
  })

  it('passes a descriptor before the command that names it, and none once the connection is lost', async function () {
    if (!canPassDescriptors()) this.skip()
    qmp = await connectQmp(path, options)
    const ends = connectedPair()
    const asked = qmp.execute('query-status')
    await qmp.passDescriptor('mine', ends[0])
    await asked
    assert.deepEqual(fake.commands.slice(-2), ['query-status', 'getfd'])
    fake.hangUp()
    await qmp.lost
    await assert.rejects(qmp.passDescriptor('mine', ends[0]), { code: 'guest-gone' })
    for (const fd of ends) closeSync(fd)
  })

  it('waits five seconds for a greeting, and ten for an answer', async () => {
    const clock = new VirtualClock()
    const codes: string[] = []
    const note = (error: unknown): void => { codes.push(codeOf(error)) }
    const { greeting } = fake
    fake.greeting = ''
    const busy = connectQmp(path, { ...options, clock }).catch(note)
    await clock.run(4_999)
    assert.deepEqual(codes, [])
    await clock.run(5_000)
    await busy
    fake.greeting = greeting
    qmp = await connectQmp(path, { ...options, clock })
    fake.answer = () => 'silence'
    const silent = qmp.execute('migrate').catch(note)
    await clock.run(14_999)
    assert.deepEqual(codes, ['qmp-busy'])
    await clock.run(15_000)
    await silent
    assert.deepEqual(codes, ['qmp-busy', 'qmp-timeout'])
    assert.equal(clock.pendingCount, 0)
  })

  it('leaves no timer when it is closed, and answers no more', async () => {
    const clock = new VirtualClock()
    qmp = await connectQmp(path, { ...options, clock })
    fake.answer = () => 'silence'
    const pending = Array.from({ length: 64 }, () => qmp!.execute('migrate'))
    assert.throws(() => qmp!.execute('migrate'), /pile up/)
    const closing = qmp.close()
    for (const one of pending) await assert.rejects(one, (error) => codeOf(error) === 'guest-gone')
    await closing
    assert.equal(clock.pendingCount, 0)
  })

  it('tells the first reason for which it broke off, whatever comes after', async () => {
    qmp = await connectQmp(path, options)
    fake.say('no JSON\n')
    assert.equal(codeOf(await qmp.lost), 'qmp-garbled')
    await until(() => fake.clientCount === 0)
    await qmp.close()
    await assert.rejects(qmp.execute('query-status'), (error) => codeOf(error) === 'qmp-garbled')
  })

  it('tells why it was not to connect', async () => {
    const why = new Error('enough')
    await assert.rejects(connectQmp(path, { ...options, signal: AbortSignal.abort(why) }), why)
    assert.equal(fake.clientCount, 0)
    fake.greeting = ''
    const abort = new AbortController()
    const connecting = connectQmp(path, { ...options, signal: abort.signal })
    abort.abort('no error')
    await assert.rejects(connecting, (error) =>
      codeOf(error) === 'cancelled' && (error as PagemeshError).fault === 'cancelled')
    assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
  })

  it('does not take its own closing for a loss', async () => {
    const client = await connectQmp(path, options)
    let lost = false
    void client.lost.then(() => { lost = true })
    await client.close()
    await client.close()
    assert.equal(lost, false)
  })

  for (const [what, text] of Object.entries({
    'a human monitor': 'QEMU 7.2.22 monitor - type \'help\' for more information\r\n(qemu) \n',
    'JSON of another kind': '{"hello": "world"}\n',
    'a list': '[1, 2]\n',
  })) {
    it(`refuses ${what}`, async () => {
      fake.greeting = text
      await assert.rejects(connectQmp(path, options), (error) => codeOf(error) === 'qmp-garbled')
    })
  }

  it('breaks off when a line grows beyond all bounds', async () => {
    const flood = join(directory, 'flood.qmp')
    const server = createServer((client) => {
      client.on('error', () => {})
      const more = (): void => { while (client.write(Buffer.alloc(1 << 20, 'x'))); }
      client.on('drain', more)
      more()
    }).listen(flood)
    await assert.rejects(connectQmp(flood, options), (error) => codeOf(error) === 'qmp-garbled')
    server.close()
  }).timeout(10_000)
})

describe('lines of QMP', () => {
  it('are messages, one each, but for empty ones', () => {
    const lines = '{"return": {}, "id": 1}\r\n\r\n{"event": "STOP", "data": {}}\r\n'
    const messages = new QmpCutter(100).push(Buffer.from(lines))
    assert.deepEqual(messages, [{ kind: 'return', id: 1, value: {} }, { kind: 'event', name: 'STOP', data: {} }])
  })

  it('may not be longer than the limit', () => {
    const take = (): unknown => new QmpCutter(8).push(Buffer.from('123456789'))
    assert.throws(take, (error) => codeOf(error) === 'qmp-garbled')
  })

  it('may not be more than the limit, even if they are empty', () => {
    const cutter = new QmpCutter(1000)
    cutter.push(Buffer.from('{\r\n'))
    const take = (): unknown => cutter.push(Buffer.from('\r\n'.repeat(100)))
    assert.throws(take, (error) => codeOf(error) === 'qmp-garbled')
  })

  it('are one message from a `{` to a `}`, in whatever pieces they come', () => {
    const cutter = new QmpCutter(100)
    const text = '{\r\n    "return": {\r\n    },\r\n    "id": 1\r\n}\r\n{"event": "STOP", "data": {}}\r\n{\r\n'
    const messages = text.split('').flatMap((letter) => cutter.push(Buffer.from(letter)))
    assert.deepEqual(messages, [{ kind: 'return', id: 1, value: {} }, { kind: 'event', name: 'STOP', data: {} }])
    const take = (): unknown => cutter.push(Buffer.from('"a": "0123456789",\r\n'.repeat(6)))
    assert.throws(take, (error) => codeOf(error) === 'qmp-garbled')
  })

  it('are read with care for what is missing', () => {
    assert.deepEqual(parseQmpLine('{"error": {"desc": "JSON parse error"}}'), {
      kind: 'error', id: -1, errorClass: '', description: 'JSON parse error',
    })
    assert.deepEqual(parseQmpLine('{"return": [], "id": 4}'), { kind: 'return', id: 4, value: [] })
    assert.deepEqual(parseQmpLine('{"QMP": {}}'), {
      kind: 'greeting', version: { major: 0, minor: 0, micro: 0 }, offersOutOfBand: false,
    })
  })
})

function codeOf(error: unknown): string {
  assert.ok(error instanceof PagemeshError, String(error))
  return error.code
}
