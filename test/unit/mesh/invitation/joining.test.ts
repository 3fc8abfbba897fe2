import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

import { Invitations, joinCluster, KeyRing, type JoinedCluster } from '../../../../src/mesh/index.ts'
import { encodeHello } from '../../../../src/mesh/invitation/exchange.ts'
import { Newcomers } from '../../../../src/mesh/invitation/newcomers.ts'
import { decodeToken, encodeToken } from '../../../../src/mesh/invitation/token.ts'
import { encodePreamble } from '../../../../src/mesh/lanes/lanepreamble.ts'
import { LaneServer } from '../../../../src/mesh/lanes/laneserver.ts'
import { provePreshared } from '../../../../src/mesh/lanes/presharedtls.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { until } from '../../../support/meshes.ts'
import { VirtualClock } from '../../../support/time.ts'
import { closed } from '../lanes/lanesockets.ts'

const KEY = new Uint8Array(32).fill(3)
const HOUR_MS = 3_600_000

/** A host that invites, as its lane port shows it. */
class InvitingHost {
  readonly clock = new VirtualClock()
  readonly invitations: Invitations
  readonly refusals: string[] = []
  readonly strangers: string[] = []
  readonly #server: LaneServer

  constructor(clusterKey = KEY) {
    this.invitations = new Invitations({ clock: this.clock, random: systemRandom }, {
      keys: new KeyRing({ used: clusterKey }),
    })
    this.invitations.onNews = (news) => { if (news.event === 'join-refused') this.refusals.push(news.why) }
    const newcomers = new Newcomers({ clock: this.clock, invitations: this.invitations }, {
      self: () => ({ host: 'host-a', meshPort: 4001 }), isHere: (name) => name === 'host-a',
    })
    this.#server = new LaneServer({ clock: this.clock, log: silentLog, random: systemRandom }, {
      isKnown: () => false,
      stranger: (_host, reason) => { this.strangers.push(reason) },
      newcomer: (socket, newcomer) => void newcomers.take(socket, newcomer),
    })
  }

  get address(): string {
    return this.#server.address
  }

  async listen(): Promise<this> {
    await this.#server.listen('127.0.0.1:0')
    return this
  }

  invite(init: Partial<{ ttlMs: number; uses: number }> = {}): string {
    return this.invitations.open({ ttlMs: HOUR_MS, uses: 1, ...init }).token
  }

  close(): Promise<void> {
    return this.#server.close()
  }
}

const clock = new VirtualClock()
const servers: Server[] = []

function join(
  address: string, token: string, init: { name?: string; signal?: AbortSignal } = {},
): Promise<JoinedCluster> {
  const { name = 'host-d', signal = new AbortController().signal } = init
  return joinCluster({ clock }, { address, token, name, signal })
}

/** Something else at a port. */
async function served(serve: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => serve(socket.on('error', () => {})))
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

function dialed(address: string): Socket {
  return connect(Number(address.split(':')[1]), '127.0.0.1').on('error', () => {})
}

/** A relay between the newcomer and `address`, which changes pieces on their way. */
function relayed(address: string, change: (bytes: Buffer, way: 'out' | 'back') => Buffer): Promise<string> {
  return served((near) => {
    const far = dialed(address)
    near.on('data', (bytes) => far.write(change(bytes, 'out'))).on('close', () => far.destroy())
    far.on('data', (bytes) => near.write(change(bytes, 'back'))).on('close', () => near.destroy())
  })
}

/** The token with one byte of it changed. */
function changed(token: string, part: 'id' | 'secret' | 'mark'): string {
  const { id, secret, mark } = decodeToken(token)
  return encodeToken({
    id: part === 'id' ? id.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) : id,
    secret: part === 'secret' ? secret.with(31, secret[31]! ^ 1) : secret,
    mark: part === 'mark' ? mark.with(0, mark[0]! ^ 1) : mark,
  })
}

describe('a new host that joins', () => {
  let host: InvitingHost
  beforeEach(async () => { host = await new InvitingHost().listen() })
  afterEach(async () => {
    await host.close()
    for (const server of servers.splice(0)) server.close()
  })

  it('gets the cluster key, and where the mesh is', async () => {
    assert.deepEqual(await join(host.address, host.invite()), {
      clusterKey: KEY, host: 'host-a', meshPort: 4001, ownHost: '127.0.0.1',
    })
    assert.deepEqual(host.invitations.counts, { open: 0, joined: 1, refused: 0 })
    assert.deepEqual(host.strangers, [])
  })

  it('is refused with a wrong token, an unknown, a used and an expired one, each in its own words', async () => {
    const token = host.invite()
    await assert.rejects(join(host.address, changed(token, 'secret')), { code: 'token-wrong', fault: 'peer' })
    await assert.rejects(join(host.address, changed(token, 'id')), { code: 'token-unknown', fault: 'peer' })
    await join(host.address, token)
    await assert.rejects(join(host.address, token), { code: 'token-used', fault: 'peer' })
    const short = host.invite({ ttlMs: 1_000 })
    await host.clock.run(1_000)
    await assert.rejects(join(host.address, short), { code: 'token-expired', fault: 'peer' })
    assert.deepEqual(host.refusals, ['unproven', 'used', 'expired'])
    assert.deepEqual(host.strangers, [
      'it did not prove the token of an invitation', 'it showed no invitation of this host',
    ])
  })

  it('is one, where several come at once with a token for one', async () => {
    const token = host.invite()
    const joins = await Promise.allSettled([1, 2, 3, 4].map(() => join(host.address, token)))
    assert.deepEqual(joins.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected', 'rejected'])
    assert.deepEqual(host.invitations.counts, { open: 0, joined: 1, refused: 3 })
  })

  it('keeps its token if its name is another\'s', async () => {
    const token = host.invite()
    await assert.rejects(join(host.address, token, { name: 'host-a' }), { code: 'name-taken' })
    await join(host.address, token)
  })

  it('is told beforehand what is wrong with what it says', async () => {
    await assert.rejects(join('nowhere', host.invite()), { code: 'address-malformed' })
    await assert.rejects(join(host.address, host.invite(), { name: 'no name' }), { code: 'host-name-invalid' })
    await assert.rejects(join(host.address, 'pmjoin1-short'), { code: 'token-malformed' })
    assert.equal(host.invitations.counts.refused, 0)
  })

  it('gives up where nobody listens, where nobody answers, and when it is stopped', async () => {
    const token = host.invite()
    await assert.rejects(join('127.0.0.1:1', token), { code: 'join-unreachable', fault: 'network' })
    let sockets = 0
    const silent = await served((socket) => {
      // Without anybody who reads, it would not hear of the other end's close.
      socket.resume()
      sockets += 1
    })
    const waiting = join(silent, token)
    await until(() => sockets === 1, 'it is there')
    await Promise.all([assert.rejects(waiting, { code: 'join-unreachable' }), clock.run(clock.now() + 20_000)])
    const abort = new AbortController()
    const stopped = join(silent, token, { signal: abort.signal })
    await until(() => sockets === 2, 'it is there again')
    abort.abort(new Error('enough'))
    await assert.rejects(stopped, /enough/)
    await assert.rejects(join(silent, token, { signal: abort.signal }), /enough/)
  })

  it('tells a false mesh nothing but the number of the invitation, and takes nothing from it', async () => {
    const token = host.invite()
    const { id, secret, mark } = decodeToken(token)
    const heard: Buffer[] = []
    const hangsUp = await served((socket) => socket.once('data', (bytes) => {
      heard.push(bytes)
      socket.destroy()
    }))
    await assert.rejects(join(hangsUp, token), { code: 'token-unknown' })
    const babbles = await served((socket) => socket.on('data', (bytes) => {
      heard.push(bytes)
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    }))
    await assert.rejects(join(babbles, token), { code: 'join-false' })
    // It knows the number, and no secret.
    const guesses = await new InvitingHost().listen()
    guesses.invitations.secretOf = () => new Uint8Array(32)
    await assert.rejects(join(guesses.address, token), { code: 'token-wrong' })
    await guesses.close()
    const said = Buffer.concat(heard)
    assert.ok(said.includes(id))
    for (const hidden of [Buffer.from(secret), Buffer.from(mark), Buffer.from('host-d'), Buffer.from(token)]) {
      assert.ok(!said.includes(hidden))
    }
  })

  it('takes no key of another cluster, even from who has stolen the token', async () => {
    const token = host.invite()
    const thief = await new InvitingHost(new Uint8Array(32).fill(4)).listen()
    thief.invitations.secretOf = () => decodeToken(token).secret
    thief.invitations.redeem = () => ({ clusterKey: new Uint8Array(32).fill(4) })
    await assert.rejects(join(thief.address, token), { code: 'join-false' })
    await thief.close()
    await assert.rejects(join(host.address, changed(token, 'mark')), { code: 'join-false' })
  })

  it('is read by nobody in between, who can neither change nor repeat what is said', async () => {
    const token = host.invite({ uses: 2 })
    const seen = { out: [] as Buffer[], back: [] as Buffer[] }
    const address = await relayed(host.address, (bytes, way) => {
      seen[way].push(bytes)
      return bytes
    })
    await join(address, token)
    const said = Buffer.concat([...seen.out, ...seen.back])
    const hidden = [KEY, decodeToken(token).secret].flatMap((bytes) =>
      [Buffer.from(bytes), Buffer.from(Buffer.from(bytes).toString('base64url'))])
    for (const bytes of [...hidden, Buffer.from('host-d'), Buffer.from('host-a')]) assert.ok(!said.includes(bytes))

    const again = dialed(host.address).resume()
    for (const bytes of seen.out) again.write(bytes)
    await closed(again)
    assert.equal(host.invitations.counts.joined, 1)
  })

  it('gets no key over a connection on which any byte was changed', async () => {
    // The tries are few a minute: so some places, in the hellos, the proofs and what is said then.
    const places = [
      ['out', 64], ['out', 150], ['out', 1_500], ['back', 40], ['back', 1_100], ['back', 1_260],
    ] as const
    for (const [way, at] of places) {
      const token = host.invite()
      let passed = 0
      const address = await relayed(host.address, (bytes, side) => {
        if (side !== way) return bytes
        const place = at - passed
        passed += bytes.length
        if (place < 0 || place >= bytes.length) return bytes
        const other = Buffer.from(bytes)
        other[place]! ^= 1
        return other
      })
      const outcome = await join(address, token).catch((error: { code: string }) => error.code)
      assert.ok(passed > at, `${way} ${at}: only ${passed} bytes`)
      assert.equal(typeof outcome, 'string', `${way} ${at}`)
    }
    assert.equal(host.invitations.counts.joined, 0)
  })

  it('is dropped if it is silent, before TLS and after, or says too much or too little', async () => {
    const { id, secret } = decodeToken(host.invite())
    const silent = dialed(host.address).resume()
    silent.write(encodePreamble('join', id))
    await until(() => silent.bytesWritten > 0 && host.clock.pendingCount > 0, 'it is watched')
    await host.clock.run(5_000)
    await closed(silent)
    assert.deepEqual(host.strangers, ['it did not prove the cluster key in time'])

    const proved = async (say: string) => {
      const socket = dialed(host.address)
      await new Promise<void>((resolve) => socket.write(encodePreamble('join', id), () => resolve()))
      const duplex = await provePreshared(socket, { id, key: secret }, (opened) => opened.on('error', () => {}))
      duplex.resume()
      if (say !== '') duplex.write(say)
      return { socket, duplex }
    }
    const mute = await proved('')
    const half = await proved(encodeHello('host-d').slice(0, -1))
    await until(() => host.clock.pendingCount >= 3, 'the port and both are watched')
    await host.clock.run(10_000)
    await Promise.all([closed(mute.socket), closed(half.socket)])
    const cut = await proved(encodeHello('host-d').slice(0, 8))
    cut.duplex.end()
    await closed(cut.socket)
    for (const say of ['x'.repeat(2_000), '{}\n', 'not json\n']) await closed((await proved(say)).socket)
    assert.equal(host.invitations.counts.joined, 0)
    assert.equal(host.invitations.counts.open, 1)
    await until(() => host.refusals.length === 7, 'all are counted')
    assert.deepEqual(host.refusals, ['unproven', ...Array<string>(6).fill('malformed')])
  })

  it('may try an invitation twenty times a minute, all together, and then again', async () => {
    const token = host.invite()
    for (let tries = 0; tries < 20; tries++) {
      await assert.rejects(join(host.address, changed(token, 'secret')), { code: 'token-wrong' })
    }
    await assert.rejects(join(host.address, token), { code: 'token-unknown' })
    assert.equal(host.refusals.at(-1), 'too-many')
    assert.equal(host.strangers.at(-1), 'too many tried to join within a minute')
    await host.clock.run(host.clock.now() + 3_100)
    await join(host.address, token)
  })
})

describe('a host that invites nobody', () => {
  it('drops who names an invitation', async () => {
    const strangers: string[] = []
    const server = new LaneServer({ clock, log: silentLog, random: systemRandom }, {
      isKnown: () => false, stranger: (_host, reason) => { strangers.push(reason) },
    })
    await server.listen('127.0.0.1:0')
    try {
      const token = encodeToken({ id: '00'.repeat(16), secret: new Uint8Array(32), mark: new Uint8Array(16) })
      await assert.rejects(join(server.address, token), { code: 'token-unknown' })
      assert.deepEqual(strangers, ['it showed no ticket of this host'])
    } finally {
      await server.close()
    }
  })
})
