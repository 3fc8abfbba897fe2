import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import {
  decodeAnswer, decodeHello, encodeHello, encodeRefusal, encodeWelcome, readLine,
} from '../../../../src/mesh/invitation/exchange.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { codeOf, mutated } from './mutations.ts'

const WELCOME = { clusterKey: new Uint8Array(32).fill(5), host: 'host-a', meshPort: 4001 }

describe('what a newcomer and the host that invited it say', () => {
  it('reads as it was written', () => {
    assert.equal(decodeHello(encodeHello('host-d')), 'host-d')
    assert.deepEqual(decodeAnswer(encodeWelcome(WELCOME)), WELCOME)
    for (const isUsed of [true, false]) {
      const rotating = { ...WELCOME, other: { clusterKey: new Uint8Array(32).fill(6), isUsed } }
      assert.deepEqual(decodeAnswer(encodeWelcome(rotating)), rotating)
    }
    for (const why of ['used', 'expired', 'name-taken', 'malformed'] as const) {
      assert.equal(decodeAnswer(encodeRefusal(why)), why)
    }
  })

  it('is refused in another version, without a part, or with one that it cannot have', () => {
    const hellos = ['', 'null', '[]', '{"version":1}', '{"version":2,"name":"a"}', '{"version":1,"name":"a b"}',
      '{"version":1,"name":7}']
    for (const line of hellos) assert.throws(() => decodeHello(line), { code: 'bad-question' }, line)
    const good = JSON.parse(encodeWelcome(WELCOME)) as object
    const answers = [{ version: 2 }, { key: 'short' }, { key: undefined }, { host: 'a b' }, { host: 1 },
      { meshPort: 0 }, { meshPort: 65_536 }, { meshPort: 1.5 }, { meshPort: '1' },
      { other: 'short', isOtherUsed: true },
      { other: 'A'.repeat(43) }, { ...good, other: (good as { key: string }).key, isOtherUsed: true },
    ].map((part) => ({ ...good, ...part }))
    for (const answer of [...answers, { version: 1, refused: 'unproven' }, { version: 2, refused: 'used' }, 7]) {
      assert.throws(() => decodeAnswer(JSON.stringify(answer)), { code: 'bad-answer' }, JSON.stringify(answer))
    }
    for (const meshPort of [1, 65_535]) {
      assert.deepEqual(decodeAnswer(JSON.stringify({ ...good, meshPort })), { ...WELCOME, meshPort })
    }
  })

  it('is a line of a kilobyte at most, in any pieces, and nothing after it counts', async () => {
    const read = async (...pieces: string[]): Promise<string> => {
      const duplex = new PassThrough()
      const line = readLine(duplex as unknown as TLSSocket)
      for (const piece of pieces) duplex.write(piece)
      return await line
    }
    assert.equal(await read('one', ' line\nan', 'other\n'), 'one line')
    const longest = 'x'.repeat(1024)
    assert.equal(await read(`${longest}\n`), longest)
    await assert.rejects(read(`${longest}x\n`), /sent too much/)
    await assert.rejects(read(longest, 'x'), /sent too much/)
  })

  it('is not there where the other end closes, ends or fails before', async () => {
    const lost = (end: (duplex: PassThrough) => unknown): Promise<string> => {
      const duplex = new PassThrough()
      const line = readLine(duplex as unknown as TLSSocket)
      duplex.write('half')
      end(duplex)
      return line
    }
    await assert.rejects(lost((duplex) => duplex.end()), /ended the connection/)
    await assert.rejects(lost((duplex) => duplex.destroy()), /closed the connection/)
    await assert.rejects(lost((duplex) => duplex.destroy(new Error('reset'))), /^Error: reset$/)
  })

  it('is refused or read, whatever its bytes are, and nothing else comes of it', () => {
    for (let round = 0; round < 3_000; round++) {
      const hello = mutated(systemRandom, encodeHello('host-d'))
      assert.ok([undefined, 'bad-question'].includes(codeOf(() => decodeHello(hello))), hello)
      const answer = mutated(systemRandom, encodeWelcome(WELCOME))
      assert.ok([undefined, 'bad-answer'].includes(codeOf(() => decodeAnswer(answer))), answer)
    }
  })
})
