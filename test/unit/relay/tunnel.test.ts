import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  chmodSync, chownSync, existsSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync,
} from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'

import type { PeekedEndpoint } from '../../../src/net/peekedendpoint.ts'
import { openTunnel, parseRelayAddress, type Tunnel } from '../../../src/relay/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { deferred, type Deferred } from '../../../src/runtime/wait.ts'
import { eventually } from './hosts.ts'

const NOBODY = 65534
const FOREIGN_GROUP = 54_321

describe('a tunnel', () => {
  let directory: string
  let path: string
  let tunnel: Tunnel | undefined
  let carried: { endpoint: PeekedEndpoint; done: Deferred<void>; pid: number | undefined }[]
  let refused: string[]

  beforeEach(() => {
    directory = mkdtempSync('/tmp/tunnel-')
    path = join(directory, 't')
    carried = []
    refused = []
  })

  afterEach(async () => {
    await tunnel?.close()
    for (const { endpoint, done } of carried) {
      done.resolve()
      endpoint.destroy()
    }
    rmSync(directory, { recursive: true, force: true })
  })

  async function open(at = path, more: { mode?: number; gid?: number } = {}): Promise<void> {
    tunnel = await openTunnel({ log: silentLog }, {
      path: parseRelayAddress(at)!, mode: 0o600, hosts: new Set(['127.0.0.1', '::1']), ...more,
      carry: async (endpoint, { pid }) => {
        const done = deferred<void>()
        carried.push({ endpoint, done, pid })
        await done.promise
      },
      onRefused: ({ code }) => { refused.push(code) },
    })
  }

  async function dial(
    to: { path: string } | { host: string; port: number } = { path }, allowHalfOpen = false,
  ): Promise<Socket> {
    const socket = connect({ ...to, allowHalfOpen })
    // The test looks at whether it is closed.
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }

  it('takes connections one after the other, in the order of their coming', async () => {
    await open()
    const sockets = [await dial(), await dial(), await dial()]
    sockets.forEach((socket, number) => socket.write(String(number)))
    for (let number = 0; number < 3; number++) {
      await eventually(() => carried.length === number + 1)
      assert.equal((await carried[number]!.endpoint.first)?.toString(), String(number))
      carried[number]!.done.resolve()
    }
    assert.ok(carried.every(({ pid }) => pid === undefined || pid === process.pid))
  })

  it('takes as many as come, as long as each is carried', async () => {
    await open()
    for (let number = 0; number < 70; number++) {
      await dial()
      await eventually(() => carried.length === number + 1)
      carried[number]!.done.resolve()
    }
  })

  it('keeps the way back open where the other way has ended', async () => {
    await open()
    const socket = await dial({ path }, true)
    await eventually(() => carried.length === 1)
    const { endpoint } = carried[0]!
    const heard: Buffer[] = []
    socket.on('data', (bytes) => heard.push(bytes))
    socket.end()
    await new Promise<void>((resolve) => endpoint.receive(() => {}, resolve))
    await endpoint.write(Buffer.from('late'))
    await eventually(() => Buffer.concat(heard).toString() === 'late')
  })

  it('closes a connection that is not carried, says why, and goes on', async () => {
    await open()
    const socket = await dial()
    await eventually(() => carried.length === 1)
    carried[0]!.done.reject(new PagemeshError('not-dialled', 'No.', { fault: 'peer' }))
    await once(socket, 'close')
    assert.deepEqual(refused, ['not-dialled'])
    await dial()
    await eventually(() => carried.length === 2)
  })

  it('has a socket for its user alone, or as it is asked', async () => {
    await open()
    assert.equal(lstatSync(path).mode & 0o777, 0o600)
    await tunnel!.close()
    assert.ok(!existsSync(path))
    await open(path, { mode: 0o660, gid: process.getegid!() })
    assert.deepEqual([lstatSync(path).mode & 0o777, lstatSync(path).gid], [0o660, process.getegid!()])
  })

  it('says what is missing where the group is not one of its user', async () => {
    const isRoot = process.getuid!() === 0
    if (isRoot) {
      chownSync(directory, NOBODY, NOBODY)
      process.seteuid!(NOBODY)
    }
    try {
      await assert.rejects(open(path, { gid: FOREIGN_GROUP }), ({ code, message, advice }: PagemeshError) => {
        assert.deepEqual([code, /group 54321: the agent's user is not in it/.test(message)], ['tunnel-unusable', true])
        assert.match(advice!, /Leave the group out/)
        return true
      })
    } finally {
      if (isRoot) process.seteuid!(0)
    }
    assert.deepEqual(readdirSync(directory), [])
  })

  it('replaces a socket at which nobody listens, and nothing else', async () => {
    const dead = createServer().listen(join(directory, 'old'))
    await once(dead, 'listening')
    // Left by a process that was killed: the file stays.
    rmSync(path, { force: true })
    renameSync(join(directory, 'old'), path)
    await assert.rejects(open(), { code: 'tunnel-taken' })
    await new Promise((resolve) => dead.close(resolve))
    assert.ok(existsSync(path))
    await open()
    await tunnel!.close()
    writeFileSync(path, 'mine')
    await assert.rejects(open(), { code: 'tunnel-unusable' })
    assert.ok(lstatSync(path).isFile())
  })

  it('opens no socket where others could replace it', async () => {
    chmodSync(directory, 0o777)
    await assert.rejects(open(), { code: 'directory-exposed' })
  })

  it('listens at ports of this host, and of no other', async () => {
    await open('127.64.0.2:20599')
    await dial({ host: '127.64.0.2', port: 20_599 })
    await eventually(() => carried.length === 1)
    await assert.rejects(open('127.64.0.2:20599'), { code: 'tunnel-taken' })
    await assert.rejects(open('192.0.2.1:20599'), { code: 'not-own-address' })
    await assert.rejects(open('0.0.0.0:20599'), { code: 'not-own-address' })
  })

  it('that is closed takes nothing more, and leaves what is carried', async () => {
    await open()
    const socket = await dial()
    await eventually(() => carried.length === 1)
    const waiting = await dial()
    await tunnel!.close()
    await tunnel!.closed
    await eventually(() => waiting.destroyed)
    assert.equal(socket.destroyed, false)
    carried[0]!.done.resolve()
    assert.equal(carried.length, 1)
  })
})
