import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { listenAt, requireUntaken, type SocketFileInit } from '../../../src/host/socketfile.ts'
import type { PagemeshError } from '../../../src/runtime/errors.ts'
import { ANOTHER_USER, asAnotherUser } from '../../support/anotheruser.ts'

const PATH_BYTES_MAX = 107
const NOBODYS_GROUP = 54_321

describe('the file of a socket', () => {
  let directory = ''
  const servers: Server[] = []

  beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), 'pagemesh-socketfile-')) })

  afterEach(async () => {
    await Promise.all(servers.splice(0).map(close))
    await rm(directory, { recursive: true })
  })

  function createOne(): Server {
    const server = createServer((socket) => {
      // Who only looks whether somebody answers hangs up at once.
      socket.on('error', () => socket.destroy())
      socket.end('hello')
    })
    servers.push(server)
    return server
  }

  function initOf(path: string): SocketFileInit {
    const codes = { taken: 'tunnel-taken', unusable: 'tunnel-unusable' } as const
    return { path, mode: 0o640, use: 'socket of tests', other: 'test', codes }
  }

  const refusal = (path: string, code: string, message: RegExp) => (error: PagemeshError): boolean => {
    assert.deepEqual([error.code, error.fault, error.phase, error.data], [code, 'host', 'start', { path }])
    assert.match(error.message, message)
    return true
  }

  it('has its mode and group, and somebody who answers, in a directory that is made for it', async () => {
    const path = join(directory, 'new', 'a.sock')
    await listenAt(createOne(), { ...initOf(path), gid: process.getgid!() })
    const file = await stat(path)
    assert.deepEqual([file.mode & 0o777, file.gid, file.isSocket()], [0o640, process.getgid!(), true])
    assert.equal(await said(path), 'hello')
    assert.deepEqual(await readdir(join(directory, 'new')), ['a.sock'], 'nothing else is left there')
  })

  it('is given by root to any group, and by others to groups of theirs alone', async () => {
    const path = join(directory, 'a.sock')
    const listening = listenAt(createOne(), { ...initOf(path), gid: NOBODYS_GROUP })
    if (process.geteuid!() === 0) {
      await listening
      assert.deepEqual([(await stat(path)).uid, (await stat(path)).gid], [0, NOBODYS_GROUP])
    } else {
      await assert.rejects(listening, { code: 'tunnel-unusable', phase: 'start', data: { path, gid: NOBODYS_GROUP } })
    }
  })

  it('is given by another user than root to that user\'s group, and to no other', async function () {
    if (process.geteuid!() !== 0) this.skip()
    await chmod(directory, 0o755)
    const own = join(directory, 'own')
    await mkdir(own, { mode: 0o755 })
    await chown(own, ANOTHER_USER, ANOTHER_USER)
    const path = join(own, 'a.sock')
    await asAnotherUser(async () => {
      const server = createOne()
      await assert.rejects(listenAt(server, { ...initOf(path), gid: NOBODYS_GROUP }), (error: PagemeshError) => {
        assert.deepEqual([error.code, error.fault, error.phase], ['tunnel-unusable', 'host', 'start'])
        assert.deepEqual(error.data, { path, gid: NOBODYS_GROUP })
        assert.match(error.message, /^The socket of tests .*a\.sock cannot be given to group 54321: the agent's user/)
        assert.match(error.advice!, /usermod --append --groups/)
        assert.equal((error.cause as NodeJS.ErrnoException).code, 'EPERM')
        return true
      })
      assert.equal(server.listening, false)
      assert.deepEqual(await readdir(own), [])
      await listenAt(createOne(), { ...initOf(path), gid: ANOTHER_USER })
    })
    assert.deepEqual([(await stat(path)).uid, (await stat(path)).gid], [ANOTHER_USER, ANOTHER_USER])
  })

  it('is refused where another user\'s socket is, whoever listens there', async function () {
    if (process.geteuid!() !== 0) this.skip()
    await chmod(directory, 0o755)
    const path = join(directory, 'a.sock')
    const server = createOne()
    await listenAt(server, { ...initOf(path), mode: 0o600 })
    const refused = refusal(path, 'tunnel-unusable', /: EACCES\.$/)
    await asAnotherUser(() => assert.rejects(requireUntaken(initOf(path)), refused))
  })

  it('is refused in a directory so deep that the kernel does not take the path of a new one', async () => {
    const deep = join(directory, 'd'.repeat(PATH_BYTES_MAX - directory.length - 3))
    const path = join(deep, 'a')
    const server = createOne()
    await assert.rejects(listenAt(server, initOf(path)), (error: PagemeshError) =>
      refusal(path, 'tunnel-unusable', /: \w+\.$/)(error) && error.cause instanceof Error)
    assert.equal(server.listening, false)
    assert.deepEqual(await readdir(deep), [])
  })

  it('leaves no listener for failures behind', async () => {
    const server = createOne()
    const before = server.listenerCount('error')
    await listenAt(server, initOf(join(directory, 'a.sock')))
    assert.equal(server.listenerCount('error'), before)
  })

  it('goes with who made it, unless another one took its place', async () => {
    const path = join(directory, 'a.sock')
    const first = createOne()
    const file = await listenAt(first, initOf(path))
    await close(first)
    const second = await listenAt(createOne(), initOf(path))
    await file.remove()
    assert.equal(await said(path), 'hello')
    await second.remove()
    await second.remove()
    assert.deepEqual(await readdir(directory), [])
  })

  it('may have a path as long as the kernel takes, and no longer', async () => {
    const longest = join(directory, 'a'.repeat(PATH_BYTES_MAX - directory.length - 1))
    await listenAt(createOne(), initOf(longest))
    assert.equal(await said(longest), 'hello')
    const longer = `${longest}a`
    const server = createOne()
    await assert.rejects(listenAt(server, initOf(longer)), (error: PagemeshError) => !('cause' in error))
    const tooLong = refusal(longer, 'tunnel-unusable', /longer than 107 bytes/)
    await assert.rejects(listenAt(createOne(), initOf(longer)), tooLong)
  })

  it('is refused where somebody answers, and whose socket it is stays', async () => {
    const path = join(directory, 'a.sock')
    await listenAt(createOne(), initOf(path))
    const late = createOne()
    await assert.rejects(listenAt(late, initOf(path)), refusal(path, 'tunnel-taken', /^Another test runs already/))
    await assert.rejects(requireUntaken(initOf(path)), refusal(path, 'tunnel-taken', /listens at/))
    assert.equal(late.listening, false)
    assert.equal(await said(path), 'hello')
  })

  it('is refused in the place of anything else', async () => {
    const path = join(directory, 'a.sock')
    await writeFile(path, '')
    const isFile = refusal(path, 'tunnel-unusable', /is not a socket/)
    await assert.rejects(listenAt(createOne(), initOf(path)), isFile)
    await rm(path)
    await requireUntaken(initOf(path))
  })

  it('is refused where it cannot be made, with the system\'s reason as the cause', async () => {
    await writeFile(join(directory, 'file'), '')
    const path = join(directory, 'file', 'a.sock')
    const server = createOne()
    await assert.rejects(listenAt(server, initOf(path)), (error: PagemeshError) =>
      refusal(path, 'tunnel-unusable', /: (ENOTDIR|EEXIST)\.$/)(error) && error.cause instanceof Error)
    assert.equal(server.listening, false)
  })

  it('is refused for a server that listens elsewhere, which is closed', async () => {
    const elsewhere = createOne()
    await once(elsewhere.listen(join(directory, 'elsewhere')), 'listening')
    const path = join(directory, 'a.sock')
    const why = /ERR_SERVER_ALREADY_LISTEN/
    await assert.rejects(listenAt(elsewhere, initOf(path)), refusal(path, 'tunnel-unusable', why))
    assert.equal(elsewhere.listening, false)
  })

  it('is refused where others could replace it', async () => {
    const open = join(directory, 'open')
    await mkdir(open)
    await chmod(open, 0o777)
    await assert.rejects(listenAt(createOne(), initOf(join(open, 'a.sock'))), { code: 'directory-exposed' })
    assert.deepEqual(await readdir(open), [])
  })
})

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  server.close()
  await once(server, 'close')
}

async function said(path: string): Promise<string> {
  const socket = connect(path)
  const pieces: Buffer[] = []
  for await (const piece of socket) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}
