import { strict as assert } from 'node:assert'

import type { QmpClient, QmpEvent } from '../../../src/guest/qmp.ts'
import { qmpLost, qmpTimeout } from '../../../src/guest/qmperror.ts'
import { createQmpSession, type QmpSession } from '../../../src/guest/qmpsession.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { VirtualClock } from '../../support/time.ts'
import { refusal } from './scriptedqmp.ts'

const PATH = '/run/vms/a.qmp'

/** A connection without a socket: it can be lost, and says what it was asked. */
class ScriptedClient implements QmpClient {
  readonly version = { major: 9, minor: 2, micro: 1 }
  readonly #loss = deferred<Error>()
  readonly lost = this.#loss.promise
  readonly said: [command: string, timeoutMs: number | undefined][] = []
  answer: (command: string) => Promise<unknown> = async () => 'done'
  isClosed = false
  #listener: ((event: QmpEvent) => void) | undefined

  execute(command: string, _args?: Record<string, unknown>, timeoutMs?: number): Promise<unknown> {
    this.said.push([command, timeoutMs])
    return this.answer(command)
  }

  async passDescriptor(name: string): Promise<void> {
    await this.execute(`getfd ${name}`)
  }

  executeOutOfBand(command: string): Promise<unknown> {
    this.said.push([command, undefined])
    return this.answer(command)
  }

  async hmp(): Promise<string> {
    return ''
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listener = listener
    return () => {}
  }

  say(name: string): void {
    this.#listener!({ name, data: {} })
  }

  lose(): void {
    this.#loss.resolve(qmpLost(PATH))
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

describe('a QMP session in time', () => {
  let clock: VirtualClock
  let first: ScriptedClient
  let session: QmpSession
  let isAlive: boolean
  /** Who answers at the socket from when on; nobody before. */
  let next: ScriptedClient
  let answersFrom: number
  /** When somebody tried to connect. */
  let tries: number[]

  beforeEach(() => {
    clock = new VirtualClock()
    first = new ScriptedClient()
    next = new ScriptedClient()
    answersFrom = 0
    tries = []
    isAlive = true
    session = createQmpSession({ clock, log: silentLog }, {
      path: PATH, first, isAlive: () => isAlive,
      connect: async () => {
        tries.push(clock.now())
        if (clock.now() < answersFrom) throw new PagemeshError('qmp-busy', 'busy', { fault: 'guest' })
        return next
      },
    })
  })

  it('tries to connect at once, and then ever more seldom, up to once a second', async () => {
    answersFrom = 5000
    let reopened = 0
    session.onReopened(() => { reopened += 1 })
    first.lose()
    await clock.run(4999)
    assert.deepEqual(tries, [0, 50, 150, 350, 750, 1550, 2550, 3550, 4550])
    assert.equal(reopened, 0)
    await clock.run(60_000)
    assert.deepEqual([tries.at(-1), tries.length, reopened, clock.pendingCount], [5550, 10, 1, 0])
    const events: string[] = []
    session.onEvent(({ name }) => events.push(name))
    next.say('STOP')
    assert.deepEqual(events, ['STOP'])
    assert.deepEqual(session.version, first.version)
  })

  const ends = [[0, 0, true], [1, 100, true], [899, 900, true], [901, 1000, false], [5000, 5000, false]] as const
  for (const [endsAt, seenAt, wasHeard] of ends) {
    it(`sees ${seenAt} ms after the loss that the process ended after ${endsAt} ms`, async () => {
      answersFrom = Infinity
      let seen: unknown
      void session.gone.then((error) => {
        const { code, fault, data } = error as PagemeshError
        seen = [clock.now(), code, fault, data]
      })
      clock.after(endsAt, () => { isAlive = false })
      if (endsAt === 0) await clock.run(0)
      first.lose()
      await clock.run(20_000)
      assert.deepEqual(seen, [seenAt, 'guest-gone', 'guest', { path: PATH, wasHeard }])
      assert.equal(clock.pendingCount, 0)
      await assert.rejects(session.execute('query-status'), { code: 'guest-gone' })
    })
  }

  it('lets a command wait for a connection, and QEMU for what is left of its time', async () => {
    answersFrom = 1000
    first.lose()
    await clock.run(0)
    const asked = [session.execute('migrate'), session.execute('cont', {}, 5000)]
    const recovered = session.executeOutOfBand('migrate-recover', {})
    await assert.rejects(clock.complete(session.execute('stop', {}, 300), 1), { code: 'timeout', fault: 'guest' })
    assert.equal(clock.now(), 300)
    await clock.run(3000)
    assert.deepEqual(await Promise.all([...asked, recovered]), ['done', 'done', 'done'])
    // Connected it was after 1550 ms.
    assert.deepEqual(next.said, [['migrate', 8450], ['cont', 3450], ['migrate-recover', undefined]])
    assert.deepEqual(first.said, [])
  })

  /** Connections that are lost 100 ms after each command. */
  function loseAnswers(): void {
    for (const client of [first, next]) {
      client.answer = () => new Promise((_resolve, reject) => {
        clock.after(100, () => reject(qmpLost(PATH)))
      })
    }
  }

  it('says a question again until its time is over, with what is left of that', async () => {
    loseAnswers()
    await assert.rejects(clock.complete(session.execute('query-status', {}, 450), 1), {
      code: 'qmp-timeout', data: { path: PATH, command: 'query-status', timeoutMs: 450 },
    })
    assert.equal(clock.now(), 500)
    assert.deepEqual([...first.said, ...next.said], [450, 350, 250, 150, 50].map((left) => ['query-status', left]))
  })

  it('says again only what does the same said twice', async () => {
    const repeatable = ['human-monitor-command', 'cont', 'stop', 'migrate_cancel', 'migrate-set-capabilities',
      'migrate-set-parameters', 'migrate-start-postcopy', 'qom-get', 'query-migrate']
    for (const command of [...repeatable, 'migrate', 'migrate-incoming', 'migrate-continue', 'quit', 'requery-x']) {
      const isRepeatable = repeatable.includes(command)
      const [own, other] = [new ScriptedClient(), new ScriptedClient()]
      own.answer = () => Promise.reject(qmpLost(PATH))
      const lasting = createQmpSession({ clock, log: silentLog }, {
        path: PATH, first: own, isAlive: () => true, connect: async () => other,
      })
      const executed = clock.complete(lasting.execute(command), 1)
      if (isRepeatable) assert.equal(await executed, 'done')
      else await assert.rejects(executed, { code: 'qmp-interrupted', data: { path: PATH, command } })
      assert.equal(other.said.length, isRepeatable ? 1 : 0, command)
    }
  })

  it('hands on what is no loss, and a loss where the process has ended', async () => {
    for (const error of [refusal('cont'), qmpTimeout(PATH, 'cont', 5), new TypeError('of our own')]) {
      first.answer = () => Promise.reject(error)
      await assert.rejects(session.execute('cont'), error)
    }
    const loss = qmpLost(PATH)
    first.answer = () => Promise.reject(loss)
    isAlive = false
    await assert.rejects(session.execute('cont'), loss)
    assert.deepEqual([first.said.length, tries], [4, []])
  })

  it('that is closed while it connects hangs up on what it gets then, and tells nobody', async () => {
    const connected = deferred<QmpClient>()
    let told = 0
    const closing = createQmpSession({ clock, log: silentLog }, {
      path: PATH, first, isAlive: () => true, connect: () => connected.promise,
    })
    closing.onReopened(() => { told += 1 })
    first.lose()
    await clock.run(1)
    const waiting = assert.rejects(closing.execute('cont'), { code: 'guest-gone' })
    await closing.close()
    await waiting
    connected.resolve(next)
    await clock.run(1000)
    assert.deepEqual([next.isClosed, told, clock.pendingCount], [true, 0, 0])
  })

  it('that is closed closes its connection, and does not take that for a loss', async () => {
    await session.close()
    first.lose()
    await clock.run(1000)
    assert.deepEqual([first.isClosed, tries, clock.pendingCount], [true, [], 0])
  })
})
