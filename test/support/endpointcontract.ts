import { strict as assert } from 'node:assert'
import { setImmediate } from 'node:timers/promises'

import type { Endpoint } from '../../src/net/endpoint.ts'

const MEBIBYTE = 1024 * 1024

/** What arrived at an endpoint, copied. */
export class Arrived {
  bytes = Buffer.alloc(0)
  ends = 0

  constructor(endpoint: Endpoint) {
    endpoint.receive((bytes) => { this.bytes = Buffer.concat([this.bytes, bytes]) }, () => { this.ends++ })
  }

  get text(): string {
    return this.bytes.toString()
  }
}

/** Resolves when `condition` holds; the test's own timeout ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}

/** What every pair of connected endpoints does, in memory or over a socket. */
export function itIsAnEndpoint(connect: () => Promise<[Endpoint, Endpoint]>): void {
  let near: Endpoint
  let far: Endpoint

  beforeEach(async () => { [near, far] = await connect() })
  afterEach(() => {
    near.destroy()
    far.destroy()
  })

  it('carries bytes both ways, in order, and an end after them', async () => {
    const [there, here] = [new Arrived(far), new Arrived(near)]
    await Promise.all([near.write(Buffer.from('one ')), near.write(Buffer.from('two'))])
    near.end()
    await far.write(Buffer.from('back'))
    await until(() => there.ends === 1 && here.text === 'back')
    assert.equal(there.text, 'one two')
    assert.equal(here.ends, 0, 'the other direction goes on')
    await far.write(Buffer.from(' again'))
    far.end()
    assert.equal(await near.closed, undefined)
    assert.equal(await far.closed, undefined)
    assert.deepEqual([here.text, here.ends, there.ends], ['back again', 1, 1])
  })

  it('takes many writes while one has to wait, and carries them in order', async () => {
    const pieces = ['x'.repeat(MEBIBYTE), ...Array.from({ length: 20 }, (_, index) => `${index} `)]
    const written = Promise.all(pieces.map((piece) => near.write(Buffer.from(piece))))
    const there = new Arrived(far)
    await written
    near.end()
    await until(() => there.ends === 1)
    assert.equal(there.text, pieces.join(''))
  })

  it('carries an end that was said twice, and with nothing before it, once', async () => {
    const there = new Arrived(far)
    near.end()
    near.end()
    await until(() => there.ends === 1)
    await setImmediate()
    assert.deepEqual([there.text, there.ends], ['', 1])
    await assert.rejects(near.write(Buffer.from('late')))
  })

  it('tells the end also to whoever listens later, and once, however often it is paused and goes on', async () => {
    near.end()
    for (let i = 0; i < 20; i++) await setImmediate()
    const there = new Arrived(far)
    await until(() => there.ends === 1)
    for (let i = 0; i < 3; i++) {
      far.pause()
      far.resume()
      await setImmediate()
    }
    assert.deepEqual([there.text, there.ends], ['', 1])
    await far.write(Buffer.from('still open'))
  })

  it('holds a writer up whom nobody reads, and loses nothing', async () => {
    const whole = Buffer.alloc(4 * MEBIBYTE, 'abcdefg')
    let isTaken = false
    const written = near.write(whole).then(() => { isTaken = true })
    for (let i = 0; i < 50; i++) await setImmediate()
    assert.equal(isTaken, false, 'nothing is read before somebody asks')
    const there = new Arrived(far)
    await written
    near.end()
    await until(() => there.ends === 1)
    assert.ok(there.bytes.equals(whole))
  })

  it('hands nothing over while it is paused, not even the end', async () => {
    let heard = ''
    let ends = 0
    far.receive((bytes) => {
      heard += bytes.toString()
      far.pause()
    }, () => { ends++ })
    await near.write(Buffer.from('first'))
    await until(() => heard === 'first')
    await near.write(Buffer.from('second'))
    near.end()
    for (let i = 0; i < 20; i++) await setImmediate()
    assert.deepEqual([heard, ends], ['first', 0])
    far.resume()
    await until(() => heard === 'firstsecond')
    far.resume()
    await until(() => ends === 1)
  })

  it('may be paused before anybody listens', async () => {
    far.pause()
    const there = new Arrived(far)
    await near.write(Buffer.from('x'))
    for (let i = 0; i < 20; i++) await setImmediate()
    assert.equal(there.text, '')
    far.resume()
    await until(() => there.text === 'x')
  })

  it('hands over what was said before the other side closed, also after a write to it has failed', async () => {
    await near.write(Buffer.from('last words'))
    near.destroy()
    await near.closed
    await assert.rejects(far.write(Buffer.alloc(MEBIBYTE)))
    const there = new Arrived(far)
    await until(() => there.ends === 1)
    assert.equal(there.text, 'last words')
    assert.ok(await far.closed instanceof Error, 'the write\'s failure is told')
  })

  it('fails the writes that nobody will take any more', async () => {
    const pending = near.write(Buffer.alloc(4 * MEBIBYTE))
    pending.catch(() => { /* looked at below */ })
    await setImmediate()
    far.destroy()
    await assert.rejects(pending)
    await assert.rejects(near.write(Buffer.from('more')))
  })

  it('tells of a write that failed after the other side had said all', async () => {
    const here = new Arrived(near)
    far.end()
    await until(() => here.ends === 1)
    const pending = near.write(Buffer.alloc(4 * MEBIBYTE))
    pending.catch(() => { /* looked at below */ })
    await setImmediate()
    far.destroy()
    await assert.rejects(pending)
    near.end()
    assert.ok(await near.closed instanceof Error)
  })

  it('closes at once when it is told to, and says nothing more', async () => {
    const there = new Arrived(far)
    far.destroy()
    far.destroy()
    assert.equal(await far.closed, undefined)
    await near.write(Buffer.from('x')).catch(() => { /* may be taken or refused */ })
    await setImmediate()
    assert.deepEqual([there.text, there.ends], ['', 0])
    await assert.rejects(far.write(Buffer.from('y')))
  })
}
