import { strict as assert } from 'node:assert'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { Rendezvous } from '../../../src/guest/rendezvous.ts'
import { openHandedEndpoint } from '../../../src/guest/socketendpoint.ts'
import type { Endpoint } from '../../../src/net/endpoint.ts'
import { kernelInUse } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { nextTurn } from '../../../src/runtime/turn.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { Arrived, itIsAnEndpoint, until } from '../../support/endpointcontract.ts'
import { arrivalOf } from './arrivals.ts'

const uid = process.geteuid!()

describe('a rendezvous', () => {
  let directory: string
  let rendezvous: Rendezvous
  const never = new AbortController().signal

  function create(where = directory): Promise<Rendezvous> {
    return Rendezvous.create({ clock: systemClock, random: systemRandom }, {
      directory: where, uid, process: undefined,
    })
  }

  beforeEach(async () => {
    directory = mkdtempSync('/tmp/meet-')
    rendezvous = await create()
  })

  afterEach(async () => {
    await rendezvous.remove()
    rmSync(directory, { recursive: true })
  })

  async function meet(): Promise<[Endpoint, Endpoint]> {
    const connection = arrivalOf(await rendezvous.listen(never))
    const near = await rendezvous.connect(never)
    return [near, await connection]
  }

  describe('connects two endpoints, of which the one that connected', () => {
    itIsAnEndpoint(meet)
  })

  describe('connects two endpoints, of which the one that was accepted', () => {
    itIsAnEndpoint(async () => {
      const [near, far] = await meet()
      return [far, near]
    })
  })

  /** The endpoint, given away and opened again. */
  function handed(endpoint: Endpoint, early?: string): Endpoint {
    const closing = deferred<Error | undefined>()
    const given = endpoint.handOver!({ destroy: () => {}, closed: closing.promise })
    assert.ok(given !== undefined)
    const opened = openHandedEndpoint(early === undefined ? given : { ...given, early: Buffer.from(early) })
    void opened.closed.then((error) => closing.resolve(error))
    return opened
  }

  describe('connects two endpoints, of which one that was handed over', function () {
    before(function () {
      if (kernelInUse() === 'package') this.skip()
    })

    itIsAnEndpoint(async () => {
      const [near, far] = await meet()
      return [handed(near), far]
    })
  })

  describe('connects an endpoint that, handed over,', () => {
    before(function () {
      if (kernelInUse() === 'package') this.skip()
    })

    it('gives what was read before it first, unless it is held back', async () => {
      const [near, far] = await meet()
      const opened = handed(near, 'early ')
      await far.write(Buffer.from('late'))
      opened.pause()
      const arrived = new Arrived(opened)
      await nextTurn()
      assert.equal(arrived.text, '')
      opened.resume()
      await until(() => arrived.text === 'early late')
      for (const end of [opened, far]) end.destroy()
    })

    it('follows the connection, and closes it through whoever has it', async () => {
      const [near, far] = await meet()
      const closing = deferred<Error | undefined>()
      let destroyed = 0
      const given = near.handOver!({ destroy: () => { destroyed += 1 }, closed: closing.promise })!
      assert.equal(near.handOver!({ destroy: () => {}, closed: closing.promise }), undefined, 'once')
      near.destroy()
      assert.equal(destroyed, 1)
      const why = new Error('cut')
      closing.resolve(why)
      assert.equal(await near.closed, why)
      openHandedEndpoint(given).destroy()
      far.destroy()
    })
  })

  it('tells the first failure of a write, whatever fails after it', async () => {
    const [near, far] = await meet()
    far.destroy()
    const failures: unknown[] = []
    for (let time = 0; time < 3; time++) {
      await near.write(Buffer.from('x')).catch((error: unknown) => failures.push(error))
    }
    const [first] = failures
    assert.ok(first instanceof Error)
    assert.deepEqual(failures, [first, first, first])
    assert.ok(failures.every((failure) => failure === first))
    new Arrived(near)
    assert.equal(await near.closed, first)
  })

  it('may be given up by whoever does not wait for it yet', async () => {
    const abort = new AbortController()
    await rendezvous.listen(abort.signal)
    abort.abort(new Error('enough'))
    // By the next turn Node has told of every rejection that nobody takes, which fails a test.
    await nextTurn()
  })

  it('is gone once removed', async () => {
    await rendezvous.listen(never)
    assert.equal(existsSync(rendezvous.socketPath), true)
    await Promise.all([rendezvous.remove(), rendezvous.remove()])
    await rendezvous.remove()
    assert.deepEqual(readdirSync(directory), [])
  })

  it('waits for whoever listens later', async () => {
    const connecting = rendezvous.connect(never)
    const connection = arrivalOf(await rendezvous.listen(never))
    const ends = await Promise.all([connecting, connection])
    for (const end of ends) end.destroy()
  })

  it('gives up when its signal aborts, and only before the connection is there', async () => {
    const early = new AbortController()
    const connecting = rendezvous.connect(early.signal)
    const connection = arrivalOf(await rendezvous.listen(early.signal))
    const ends = await Promise.all([connecting, connection])
    early.abort(new Error('too late'))
    await ends[0].write(Buffer.from('still here'))
    for (const end of ends) end.destroy()

    const other = await create()
    const abort = new AbortController()
    const waiting = await other.listen(abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(arrivalOf(waiting), /enough/)
    await assert.rejects(other.connect(abort.signal), /enough/)
    await other.remove()
  })

  it('refuses a path that no socket can have', async () => {
    const deep = join(directory, 'd'.repeat(90))
    mkdirSync(deep)
    await assert.rejects(create(deep), (error) =>
      error instanceof PagemeshError && error.code === 'socket-path-too-long')
  })
})
