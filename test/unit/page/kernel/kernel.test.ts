/**
 * The kernel in C, compiled anew, beside the package. `PAGEMESH_KERNEL_PAGES=1000000` compares more pages than every
 * run of the tests has time for.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync, closeSync, fstatSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'

import fc from 'fast-check'

import { createPageHasher, deliveryOver, ID_BYTES, kernelInUse, PAGE_BYTES } from '../../../../src/page/index.ts'
import { ADDON_PATH, loadAddon, type Addon } from '../../../../src/page/kernel/kernel.ts'
import { createPackageHasher } from '../../../../src/page/packagehasher.ts'
import { seededRandom } from '../../../support/random.ts'

const REPOSITORY = join(import.meta.dirname, '../../../..')
const BUILD = join(REPOSITORY, 'src/page/kernel/build.js')
const PAGES = Number(process.env.PAGEMESH_KERNEL_PAGES ?? 20_000)
const COUNT_MAX = 40
const KEY = Buffer.alloc(32, 'key')
/** A compiler on a machine that has other things to do. */
const BUILD_MS_MAX = 60_000

const run = promisify(execFile)
let folder: string
let path: string

/** Compiles into `target`; returns what was said. */
async function build(target: string, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const { stdout, stderr } = await run(process.execPath, [BUILD, target], { env })
  return stdout + stderr
}

/** The same bytes for the same number. */
function bytesOf(seed: number, count: number): Buffer {
  const key = Buffer.alloc(16)
  key.writeUInt32LE(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(count))
}

function requireAddon(): Addon {
  return loadAddon(path) ?? assert.fail('what was just compiled is not used')
}

function fdOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

describe('the kernel', function () {
  this.timeout(BUILD_MS_MAX)

  before(async function () {
    folder = mkdtempSync(join(tmpdir(), 'pm-kernel-'))
    path = join(folder, `kernel-${process.platform}-${process.arch}.node`)
    const said = await build(folder)
    if (/there is no C compiler/.test(said)) {
      console.log(`    Left out: ${said.trim()}`)
      this.skip()
    }
    // Not a word beside it: the compiler has no warnings.
    assert.equal(said, `Compiled the hash kernel: ${path}\n`)
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  it(`makes the package's ids of ${PAGES} pages, with every instruction set of this processor`, function () {
    this.timeout(BUILD_MS_MAX + PAGES / 10)
    const addon = requireAddon()
    const random = seededRandom(1)
    assert.ok(addon.instructionSets.length > 0)
    for (let done = 0, seed = 0; done < PAGES; seed++) {
      const [key, pages] = [bytesOf(2 * seed, 32), bytesOf(2 * seed + 1, COUNT_MAX * PAGE_BYTES + 13)]
      const hasher = createPackageHasher(key)
      for (let count = 0; count <= COUNT_MAX; done += count, count++) {
        const offsets = Uint32Array.from({ length: count }, () => random() * (pages.length - PAGE_BYTES + 1))
        const wanted = Buffer.alloc(count * ID_BYTES)
        hasher.hashScattered(pages, offsets, count, wanted)
        for (const [set, name] of addon.instructionSets.entries()) {
          const ids = Buffer.alloc(count * ID_BYTES + 2, 0xee)
          addon.hash(set, key, pages, offsets, count, ids, 1)
          assert.ok(ids.subarray(1, -1).equals(wanted), `${name}, batch of ${count}, seed ${seed}`)
          assert.ok(ids[0] === 0xee && ids.at(-1) === 0xee, 'it wrote beside the ids')
        }
      }
    }
  })

  it('makes them of pages that lie one after the other, from any byte on', () => {
    const addon = requireAddon()
    const pages = bytesOf(1, COUNT_MAX * PAGE_BYTES + 5)
    const wanted = Buffer.alloc(COUNT_MAX * ID_BYTES)
    createPackageHasher(KEY).hashPages(pages, 5, COUNT_MAX, wanted, 0)
    for (const set of addon.instructionSets.keys()) {
      const ids = Buffer.alloc(wanted.length)
      addon.hash(set, KEY, pages, 5, COUNT_MAX, ids, 0)
      assert.deepEqual(ids, wanted)
    }
  })

  it('refuses what lies outside of what it was given, and writes nothing then', () => {
    const { hash, instructionSets } = requireAddon()
    const pages = bytesOf(1, 2 * PAGE_BYTES)
    const ids = Buffer.alloc(2 * ID_BYTES, 0xee)
    const detached = new Uint8Array(2 * PAGE_BYTES)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    const resized = new Uint8Array(new ArrayBuffer(2 * PAGE_BYTES, { maxByteLength: 4 * PAGE_BYTES }))
    const shrunk = resized.subarray(0, 2 * PAGE_BYTES)
    ;(shrunk.buffer).resize(100)
    const good = [0, KEY, pages, Uint32Array.of(0, PAGE_BYTES), 2, ids, 0]
    const wrong: Record<number, unknown[]> = {
      0: [instructionSets.length, -1, 0.5, Number.NaN, 2 ** 40],
      1: [Buffer.alloc(31), Buffer.alloc(33), new Uint8Array(0), detached],
      2: [pages.subarray(1), new Uint8Array(0), detached, shrunk],
      3: [
        Uint32Array.of(0, PAGE_BYTES + 1), Uint32Array.of(0, 2 ** 32 - 1), Uint32Array.of(0), new Uint32Array(0),
        1, -1, 0.5, Infinity, 2 ** 53 - 1, 2 ** 60,
      ],
      4: [3, -1, 1.5, 2 ** 53 - 1, 2 ** 60, Number.NaN],
      5: [ids.subarray(1), new Uint8Array(0), detached, shrunk.subarray(0, 0)],
      6: [1, ID_BYTES + 1, 2 ** 53 - 1, -1, Infinity],
    }
    const foreign = [undefined, null, 'a', {}, [], 1n, Symbol('a'), new Uint16Array(64), new DataView(pages.buffer)]
    for (let at = 0; at < good.length; at++) {
      for (const [index, value] of [...wrong[at]!, ...foreign].entries()) {
        const given = [...good.slice(0, at), value, ...good.slice(at + 1)]
        const error = index < wrong[at]!.length ? RangeError : TypeError
        assert.throws(() => { Reflect.apply(hash, undefined, given) }, error, `argument ${at}: number ${index}`)
      }
    }
    for (let count = 0; count < good.length; count++) {
      assert.throws(() => { Reflect.apply(hash, undefined, good.slice(0, count)) }, TypeError)
    }
    assert.deepEqual(ids, Buffer.alloc(2 * ID_BYTES, 0xee))
    Reflect.apply(hash, undefined, good)
    assert.notDeepEqual(ids, Buffer.alloc(2 * ID_BYTES, 0xee))
  })

  it('duplicates descriptors, and says of others what the system does', () => {
    const { duplicate } = requireAddon()
    const file = openSync(path, 'r')
    const other = duplicate(file)
    assert.ok(other > 2 && other !== file)
    assert.equal(fstatSync(other).ino, fstatSync(file).ino)
    closeSync(file)
    assert.equal(fstatSync(other).ino, statSync(path).ino)
    closeSync(other)
    for (const wrong of [other, -1]) assert.throws(() => duplicate(wrong), { code: 'EBADF' })
    for (const foreign of [undefined, null, 'a', {}, 1n]) {
      assert.throws(() => { Reflect.apply(duplicate, undefined, [foreign]) }, TypeError)
    }
    assert.throws(() => { Reflect.apply(duplicate, undefined, []) }, TypeError)
  })

  it('survives any arguments', () => {
    const { hash } = requireAddon()
    const bytes = fc.integer({ min: 0, max: 5 * PAGE_BYTES }).map((length) => new Uint8Array(length))
    const number = fc.oneof(fc.integer({ min: -1, max: 6 }), fc.integer({ min: 0, max: 20_000 }), fc.double())
    const offsets = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 }).map((all) => Uint32Array.from(all))
    const anything = fc.oneof(bytes, number, offsets, fc.anything())
    const key = fc.constant(KEY)
    const likely = fc.tuple(fc.nat(3), key, bytes, fc.oneof(offsets, number), number, bytes, number)
    const any = fc.array(anything, { minLength: 7, maxLength: 7 })
    fc.assert(fc.property(fc.oneof(likely, any), (given) => {
      try {
        Reflect.apply(hash, undefined, given)
      } catch (error) {
        assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
      }
    }), { numRuns: 2000, seed: 1 })
  })

  it('reads and writes shared memory, and minds offsets that another thread changes meanwhile', async () => {
    const { hash } = requireAddon()
    const count = 16
    const shared = new Uint8Array(new SharedArrayBuffer(PAGE_BYTES + count))
    shared.set(bytesOf(1, shared.length))
    const offsets = new Uint32Array(new SharedArrayBuffer(4 * count))
    const ids = new Uint8Array(new SharedArrayBuffer(count * ID_BYTES))
    const wanted = Buffer.alloc(ID_BYTES)
    createPackageHasher(KEY).hashPages(shared, 0, 1, wanted, 0)
    hash(0, KEY, shared, offsets, count, ids, 0)
    assert.deepEqual(Buffer.from(ids), Buffer.concat(Array<Buffer>(count).fill(wanted)))
    const code = `const { workerData, parentPort } = require('node:worker_threads')
      parentPort.postMessage('ready')
      for (;;) { workerData.fill(0xffffffff); workerData.fill(3) }`
    const worker = new Worker(code, { eval: true, workerData: offsets })
    await once(worker, 'message')
    let refused = 0
    for (let i = 0; i < 5000; i++) {
      try {
        hash(0, KEY, shared, offsets, count, ids, 0)
      } catch (error) {
        assert.ok(error instanceof RangeError)
        refused += 1
      }
    }
    await worker.terminate()
    assert.ok(refused > 0)
  })

  it('says which process is at the other end of a UNIX connection', async () => {
    const { peerProcess } = requireAddon()
    const server = createServer().listen(join(folder, 'peer'))
    await once(server, 'listening')
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const other = spawn('sleep', ['60'], { stdio: 'pipe' })
    const child = spawn(process.execPath, ['-e', `require('net').connect(${JSON.stringify(join(folder, 'peer'))})`])
    try {
      const [socket] = await accepted
      assert.equal(peerProcess(fdOf(socket)), child.pid)
      assert.notEqual(peerProcess(fdOf(socket)), other.pid)
    } finally {
      child.kill()
      other.kill()
      server.close()
    }
  })

  it('says nothing of what is no such connection', () => {
    const { peerProcess } = requireAddon()
    const file = openSync('/dev/null', 'r')
    try {
      assert.throws(() => peerProcess(file), { code: 'ENOTSOCK' })
    } finally {
      closeSync(file)
    }
    assert.throws(() => peerProcess(-1), { code: 'ENOTSOCK' })
    for (const wrong of [undefined, 'x', {}]) {
      assert.throws(() => Reflect.apply(peerProcess, undefined, [wrong]), { code: 'ERR_INVALID_ARG_TYPE' })
    }
    assert.throws(() => Reflect.apply(peerProcess, undefined, []), { code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('says where a connection was meant to go only of one that was led here', async () => {
    const { originalDestination } = requireAddon()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const client = connect(port, '127.0.0.1')
    const file = openSync('/dev/null', 'r')
    try {
      const [socket] = await accepted
      // Where the kernel follows connections for another reason, it knows this one, which came by itself.
      try {
        assert.equal(originalDestination(fdOf(socket)), `127.0.0.1:${port}`)
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT')
      }
      for (const none of [file, -1]) assert.throws(() => originalDestination(none), { code: 'ENOENT' })
    } finally {
      closeSync(file)
      client.destroy()
      server.close()
    }
    for (const wrong of [undefined, 'x', {}]) {
      assert.throws(() => Reflect.apply(originalDestination, undefined, [wrong]), { code: 'ERR_INVALID_ARG_TYPE' })
    }
    assert.throws(() => Reflect.apply(originalDestination, undefined, []), { code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('says how fast and how much arrived over a connection', async () => {
    const { delivery } = requireAddon()
    const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const file = openSync('/dev/null', 'r')
    try {
      await once(client, 'connect')
      // That it connects counts as a byte.
      const bytes = 3_000_001
      client.write(Buffer.alloc(bytes - 1))
      while (delivery(fdOf(client))[1] < bytes) await new Promise(setImmediate)
      const [bytesPerSecond, delivered] = delivery(fdOf(client))
      assert.equal(delivered, bytes)
      assert.ok(bytesPerSecond > 1e6, `${bytesPerSecond}`)
      const seen = kernelInUse() === 'package' ? undefined : { bytesPerSecond, bytes }
      assert.deepEqual(deliveryOver(client), seen)
      for (const none of [file, -1]) assert.throws(() => delivery(none), { code: 'ENOTSUP' })
    } finally {
      closeSync(file)
      client.destroy()
      server.close()
    }
    assert.equal(deliveryOver(client), undefined)
    for (const wrong of [undefined, 'x', {}]) {
      assert.throws(() => Reflect.apply(delivery, undefined, [wrong]), { code: 'ERR_INVALID_ARG_TYPE' })
    }
    assert.throws(() => Reflect.apply(delivery, undefined, []), { code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('loads in several threads', async () => {
    const code = `const { workerData, parentPort } = require('node:worker_threads')
      const ids = Buffer.alloc(16)
      require(workerData).hash(0, Buffer.alloc(32, 'key'), Buffer.alloc(4096), 0, 1, ids, 0)
      parentPort.postMessage(ids.toString('hex'))`
    const wanted = Buffer.alloc(ID_BYTES)
    createPackageHasher(KEY).hashPages(Buffer.alloc(PAGE_BYTES), 0, 1, wanted, 0)
    const workers = Array.from({ length: 3 }, () => new Worker(code, { eval: true, workerData: path }))
    const answers = await Promise.all(workers.map((worker) => once(worker, 'message')))
    assert.deepEqual(answers.flat(), Array(3).fill(wanted.toString('hex')))
  })

  it('may be read by whoever an agent becomes, and is not compiled again without need', async () => {
    const { mode, mtimeMs } = statSync(path)
    assert.equal(mode & 0o777, 0o755)
    assert.equal(await build(folder), `The hash kernel is up to date: ${path}\n`)
    assert.equal(statSync(path).mtimeMs, mtimeMs)
    assert.deepEqual(readdirSync(folder), [`kernel-${process.platform}-${process.arch}.node`])
  })
})

describe('without the kernel', function () {
  this.timeout(BUILD_MS_MAX)
  let empty: string

  beforeEach(() => { empty = mkdtempSync(join(tmpdir(), 'pm-kernel-')) })
  afterEach(() => rmSync(empty, { recursive: true, force: true }))

  it('the package makes the same ids: PAGEMESH_KERNEL=off', async () => {
    const ids = Buffer.alloc(5 * ID_BYTES)
    createPageHasher(KEY).hashPages(Buffer.alloc(5 * PAGE_BYTES, 'page'), 0, 5, ids, 0)
    const code = `import { createPageHasher, kernelInUse } from './src/page/index.ts'
      const ids = Buffer.alloc(80)
      createPageHasher(Buffer.alloc(32, 'key')).hashPages(Buffer.alloc(5 * 4096, 'page'), 0, 5, ids, 0)
      console.log(kernelInUse(), ids.toString('hex'))`
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: REPOSITORY, env: { ...process.env, PAGEMESH_KERNEL: 'off' },
    })
    assert.equal(stdout, `package ${ids.toString('hex')}\n`)
  })

  it('both refuse a batch that lies outside of its bytes', () => {
    for (const hasher of [createPageHasher(KEY), createPackageHasher(KEY)]) {
      const [pages, ids] = [Buffer.alloc(2 * PAGE_BYTES), Buffer.alloc(2 * ID_BYTES)]
      assert.throws(() => hasher.hashPages(pages, 1, 2, ids, 0))
      assert.throws(() => hasher.hashPages(pages, -1, 1, ids, 0))
      assert.throws(() => hasher.hashPages(pages, 0, 2, ids, 1))
      assert.throws(() => hasher.hashScattered(pages, Uint32Array.of(0, 5000), 2, ids))
      assert.throws(() => hasher.hashScattered(pages, Uint32Array.of(0), 2, ids))
    }
  })

  it('an agent says what is in use', () => {
    const sets = process.env.PAGEMESH_KERNEL === 'off' ? undefined : loadAddon(ADDON_PATH)?.instructionSets
    assert.equal(kernelInUse(), sets?.[0] ?? 'package')
  })

  it('a file that is missing, no addon, or hashes wrongly is not used', () => {
    assert.equal(loadAddon(join(empty, 'missing.node')), undefined)
    writeFileSync(join(empty, 'broken.node'), 'no addon')
    assert.equal(loadAddon(join(empty, 'broken.node')), undefined)
    writeFileSync(join(empty, 'other.cjs'), 'exports.instructionSets = []')
    assert.equal(loadAddon(join(empty, 'other.cjs')), undefined)
    writeFileSync(join(empty, 'wrong.cjs'), 'exports.instructionSets = ["avx2"]; exports.hash = () => {}')
    assert.equal(loadAddon(join(empty, 'wrong.cjs')), undefined)
  })

  it('an installation goes on where there is no compiler', async () => {
    const said = await build(empty, { PATH: '' })
    assert.match(said, /^The hash kernel was not compiled, pages are hashed by the package .*no C compiler.*\n$/)
    assert.deepEqual(readdirSync(empty), [])
  })

  it('an installation goes on where compiling fails', async () => {
    const compiler = join(empty, 'compiler')
    writeFileSync(compiler, '#!/bin/sh\n[ "$1" = --version ]\n')
    chmodSync(compiler, 0o755)
    const said = await build(empty, { PATH: '', CC: compiler })
    assert.match(said, /^The hash kernel was not compiled, .*: Command failed.*\n$/)
    assert.deepEqual(readdirSync(empty), ['compiler'])
  })
})
