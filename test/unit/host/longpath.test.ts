import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, Socket, type Server } from 'node:net'
import { join } from 'node:path'

import { connectAt, SOCKET_PATH_BYTES_MAX } from '../../../src/host/longpath.ts'

describe('a socket whose path is as long as it may be, or longer', () => {
  let top: string
  let server: Server | undefined

  beforeEach(() => { top = mkdtempSync('/tmp/longpath-') })
  afterEach(async () => {
    server?.close()
    if (server?.listening === true) await once(server, 'close')
    server = undefined
    rmSync(top, { recursive: true })
  })

  /** A socket whose path has so many bytes: most of them two a character, in its directory. */
  async function listenAt(bytes: number): Promise<string> {
    const short = join(top, 's')
    server = createServer((socket) => { socket.end('hello') }).listen(short)
    await once(server, 'listening')
    const rest = bytes - top.length - 3
    const directory = join(top, `${'ä'.repeat(Math.floor(rest / 2))}${'b'.repeat(rest % 2)}`)
    mkdirSync(directory)
    renameSync(short, join(directory, 's'))
    assert.equal(Buffer.byteLength(join(directory, 's')), bytes)
    return join(directory, 's')
  }

  async function said(path: string): Promise<string> {
    const socket = new Socket()
    const closed = new Promise((resolve) => { socket.once('close', resolve) })
    connectAt(socket, path)
    const pieces: Buffer[] = []
    try {
      for await (const piece of socket) pieces.push(piece as Buffer)
    } finally {
      await closed
    }
    return Buffer.concat(pieces).toString()
  }

  /** Directories in `top` that this process has open. */
  function opened(): string[] {
    const paths = readdirSync('/proc/self/fd').map((number) => {
      try {
        return readlinkSync(`/proc/self/fd/${number}`)
      } catch {
        return ''
      }
    })
    return paths.filter((path) => path.startsWith(top) && !path.endsWith('/s'))
  }

  for (const bytes of [SOCKET_PATH_BYTES_MAX, SOCKET_PATH_BYTES_MAX + 1, 200]) {
    it(`is reached at ${bytes} bytes, and leaves no directory open`, async () => {
      assert.equal(await said(await listenAt(bytes)), 'hello')
      assert.deepEqual(opened(), [])
    })
  }

  it('is named as it was given where the kernel takes it', () => {
    const connected: string[] = []
    const socket = { connect: (path: string) => { connected.push(path) } } as unknown as Socket
    const longest = join(top, 'a'.repeat(SOCKET_PATH_BYTES_MAX - top.length - 1))
    connectAt(socket, longest)
    assert.deepEqual([connected, opened()], [[longest], []])
  })

  it('fails as a socket does if nothing is there, and lets its directory go', async () => {
    const directory = join(top, 'a'.repeat(150))
    await assert.rejects(said(join(directory, 's')), { code: 'ENOENT', syscall: 'open' })
    mkdirSync(directory)
    await assert.rejects(said(join(directory, 's')), { code: 'ENOENT', syscall: 'connect' })
    writeFileSync(join(directory, 'file'), '')
    await assert.rejects(said(join(directory, 'file', 's')), { code: 'ENOTDIR', syscall: 'open' })
    assert.deepEqual(opened(), [])
  })
})
