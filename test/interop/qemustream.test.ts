import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { skipWithoutQemu, startQemu, until, type Qemu } from '../support/qemuprocess.ts'
import { transcribe, type Transcript } from '../support/transcript.ts'

/** Not in every QEMU: old machine types are removed in time. */
const OLD_MACHINE = 'pc-i440fx-2.3'
const PAGE_BYTES = 4096
const GUEST = ['-m', '64']
const LOW_MEMORY_BYTES = 0xa0000
const HIGH_MEMORY_AT = 0x100000
const HIGH_MEMORY_BYTES = 63 * 2 ** 20

/** A UNIX socket that records what QEMU sends, and forwards it if there is a destination. */
class Recorder {
  /** The bytes of each connection, in the order of the connections. */
  readonly connections: Buffer[][] = []
  readonly #server: Server
  readonly #sockets: Socket[] = []
  readonly path: string
  ended = 0

  constructor(path: string, forwardTo?: string) {
    this.path = path
    this.#server = createServer({ allowHalfOpen: true }, (incoming) => {
      const pieces: Buffer[] = []
      this.connections.push(pieces)
      this.#sockets.push(incoming)
      incoming.on('data', (bytes: Buffer) => pieces.push(bytes))
      incoming.on('end', () => { this.ended += 1 })
      incoming.on('error', () => incoming.destroy())
      if (forwardTo === undefined) incoming.on('end', () => incoming.end())
      else this.#forward(incoming, forwardTo)
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.path, resolve))
  }

  bytes(connection: number): Buffer {
    return Buffer.concat(this.connections[connection] ?? [])
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #forward(incoming: Socket, path: string): void {
    const outgoing = connect({ path, allowHalfOpen: true })
    this.#sockets.push(outgoing)
    outgoing.on('error', () => outgoing.destroy())
    incoming.pipe(outgoing)
    outgoing.pipe(incoming)
  }
}

describe('the stream of a real QEMU', function () {
  this.timeout(240_000)
  let directory = ''
  const open: (() => unknown)[] = []

  before(skipWithoutQemu)

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'qemu-stream-'))
  })

  afterEach(async () => {
    for (const close of open.splice(0)) await close()
    await rm(directory, { recursive: true, force: true })
  })

  async function start(name: string, args: readonly string[]): Promise<Qemu> {
    const qemu = await startQemu(directory, name, args)
    open.push(() => qemu.kill())
    return qemu
  }

  async function record(forwardTo?: string): Promise<Recorder> {
    const recorder = new Recorder(join(directory, 'stream'), forwardTo)
    open.push(() => recorder.close())
    await recorder.listen()
    return recorder
  }

  /** The reader's report of a stopped guest's pre-copy stream, after a comparison with the guest's memory. */
  async function readPrecopy(args: readonly string[], capabilities: readonly string[]): Promise<Transcript> {
    const source = await start('source', [...GUEST, ...args])
    await source.untilBooted()
    await source.command('stop')
    const recorder = await record()
    await setCapabilities(source, capabilities)
    await source.command('migrate-set-parameters', { 'max-bandwidth': 2 ** 30 })
    await source.command('migrate', { uri: `unix:${recorder.path}` })
    await until(() => recorder.ended === 1)
    const bytes = recorder.bytes(0)
    const transcript = transcribe(bytes, recorder.connections[0]!.map((piece) => piece.length))
    assert.deepEqual(transcript.losses, [])
    assert.deepEqual(transcript.marks.map(({ mark }) => mark), ['ramStart', 'ramEnd'])
    assert.deepEqual(transcript.runStates, args.includes(OLD_MACHINE) ? [] : ['paused'])
    assert.deepEqual(transcript.sayings, transcribe(bytes, 1000).sayings)
    const summary = transcript.reader.summary
    assert.equal(summary.blocks, (await ramBlocks(source)).length)
    assert.equal(summary.pages + summary.zeroPages + summary.encodedPages, await ramPages(source))
    if (!capabilities.includes('compress')) await assertAnnounced(source, bytes, transcript.pageOffsets)
    return transcript
  }

  /** Asserts that every non-zero page of the guest was announced with its bytes. */
  async function assertAnnounced(source: Qemu, bytes: Buffer, offsets: readonly number[]): Promise<void> {
    const announced = new Set(offsets.map((offset) => pageDigest(bytes, offset)))
    const dump = join(directory, 'memory')
    for (const [address, size] of [[0, LOW_MEMORY_BYTES], [HIGH_MEMORY_AT, HIGH_MEMORY_BYTES]] as const) {
      await source.command('pmemsave', { val: address, size, filename: dump })
      const memory = await readFile(dump)
      for (let at = 0; at < size; at += PAGE_BYTES) {
        const isZero = memory.subarray(at, at + PAGE_BYTES).every((byte) => byte === 0)
        if (!isZero) assert.ok(announced.has(pageDigest(memory, at)), `page at ${address + at} was not announced`)
      }
    }
  }

  it('has the run state after all devices that the guest was started with', async () => {
    const source = await start('source', [...GUEST, '-vga', 'std', '-device', 'virtio-balloon'])
    const recorder = await record()
    await source.command('migrate', { uri: `unix:${recorder.path}` })
    await until(() => recorder.ended === 1)
    const bytes = recorder.bytes(0)
    assert.deepEqual(transcribe(bytes).runStates, ['running'])
    const section = bytes.lastIndexOf('\x0bglobalstate', undefined, 'latin1')
    for (const device of ['/vga', '/virtio-balloon', 'fdc']) {
      const first = bytes.indexOf(device, undefined, 'latin1')
      assert.ok(first >= 0 && first < section, device)
    }
    // After the section's footer come the end of the stream's elements and the description of the devices.
    assert.deepEqual([...bytes.subarray(section + 129, section + 131)], [0x00, 0x06])
  })

  it('in pre-copy is understood to RAM\'s end, and every page is announced', async () => {
    const { reader } = await readPrecopy([], [])
    assert.ok(reader.summary.pages > 50)
  })

  it('of a machine type without configuration and footers is understood', async function () {
    if (spawnSync('qemu-system-x86_64', ['-machine', 'help']).stdout.includes(OLD_MACHINE)) {
      const { reader } = await readPrecopy(['-machine', OLD_MACHINE], [])
      assert.equal(reader.knowledge.hasFooters, false)
    } else {
      this.skip()
    }
  })

  it('with x-ignore-shared is understood: blocks have guest addresses', async () => {
    const { reader } = await readPrecopy([
      '-object', 'memory-backend-memfd,id=ram0,size=64M,share=off', '-machine', 'memory-backend=ram0',
    ], ['x-ignore-shared'])
    assert.equal(reader.knowledge.hasGuestAddresses, true)
  })

  it('with QEMU\'s own compression is walked, raw', async () => {
    const { reader } = await readPrecopy([], ['compress'])
    assert.ok(reader.summary.encodedPages > 50)
  })

  it('with multifd is understood on every channel', async () => {
    const source = await start('source', [...GUEST])
    const destination = await start('destination', [...GUEST, '-incoming', 'defer'])
    await source.untilBooted()
    const incoming = join(directory, 'incoming')
    for (const side of [source, destination]) {
      await setCapabilities(side, ['multifd'])
      await side.command('migrate-set-parameters', { 'multifd-channels': 3 })
    }
    await destination.command('migrate-incoming', { uri: `unix:${incoming}` })
    const recorder = await record(incoming)
    await source.command('migrate', { uri: `unix:${recorder.path}` })
    await until(async () => await migrationStatus(source) === 'completed')
    assert.equal(recorder.connections.length, 4)
    const counts = recorder.connections.map((pieces, number) => {
      const lengths = pieces.map((piece) => piece.length)
      const { losses, reader } = transcribe(recorder.bytes(number), lengths, number === 0 ? {} : { channel: 'beside' })
      assert.deepEqual(losses, [])
      return reader.summary
    })
    const { ram } = await source.command('query-migrate') as { ram: { duplicate: number } }
    const sum = (of: 'pages' | 'zeroPages'): number => counts.reduce((total, each) => total + each[of], 0)
    assert.ok(sum('pages') > 50)
    assert.equal(sum('zeroPages'), ram.duplicate)
  })

  /** The reader's report of the main channel of a post-copy that began before all pages were sent. */
  async function readPostcopy(capabilities: readonly string[], connections: number): Promise<Transcript> {
    const source = await start('source', GUEST)
    const destination = await start('destination', [...GUEST, '-incoming', 'defer'])
    await source.untilBooted()
    const incoming = join(directory, 'incoming')
    for (const side of [source, destination]) await setCapabilities(side, ['postcopy-ram', ...capabilities])
    await destination.command('migrate-incoming', { uri: `unix:${incoming}` })
    const recorder = await record(incoming)
    await source.command('migrate-set-parameters', { 'max-bandwidth': 100_000 })
    await source.command('migrate', { uri: `unix:${recorder.path}` })
    await until(() => recorder.bytes(0).length > 200_000)
    await source.command('migrate-start-postcopy')
    await until(async () => await migrationStatus(destination) === 'completed')
    await until(async () => await migrationStatus(source) === 'completed')
    assert.equal(recorder.connections.length, connections)
    const main = transcribe(recorder.bytes(0), recorder.connections[0]!.map((piece) => piece.length))
    assert.deepEqual(main.losses, [])
    assert.deepEqual(main.marks.map(({ mark }) => mark), ['ramStart', 'package', 'handedOver', 'ramEnd', 'eof'])
    assert.deepEqual(main.runStates, ['running'])
    assert.deepEqual(main.sayings, transcribe(recorder.bytes(0), 1000).sayings)
    let pages = main.reader.summary.pages + main.reader.summary.zeroPages
    if (connections > 1) {
      const preempt = transcribe(recorder.bytes(1), 100, { channel: 'beside', continuation: main.reader.knowledge })
      assert.deepEqual(preempt.losses, [])
      pages += preempt.reader.summary.pages + preempt.reader.summary.zeroPages
    }
    assert.ok(pages >= await ramPages(source))
    return main
  }

  it('in post-copy is understood to its end', async () => {
    const { pageOffsets, marks } = await readPostcopy([], 1)
    const packageAt = marks.find(({ mark }) => mark === 'package')!.offset
    assert.ok(pageOffsets.at(-1)! > packageAt)
  })

  it('in post-copy with a preempt channel is understood on both', async () => {
    await readPostcopy(['postcopy-preempt'], 2)
  })
})

async function setCapabilities(qemu: Qemu, names: readonly string[]): Promise<void> {
  const capabilities = names.map((capability) => ({ capability, state: true }))
  await qemu.command('migrate-set-capabilities', { capabilities })
}

async function migrationStatus(qemu: Qemu): Promise<string> {
  const { status, 'error-desc': error } = await qemu.command('query-migrate') as Record<string, string>
  if (status === 'failed') throw new Error(`the migration failed: ${error}`)
  return status ?? 'none'
}

/** Used bytes of every RAM block, from the monitor's table. */
async function ramBlocks(qemu: Qemu): Promise<number[]> {
  const table = await qemu.command('human-monitor-command', { 'command-line': 'info ramblock' }) as string
  return table.split('\n').flatMap((line) => {
    const numbers = line.match(/0x[0-9a-f]+/g)
    return numbers === null || numbers.length < 2 ? [] : [Number(numbers[1])]
  })
}

async function ramPages(qemu: Qemu): Promise<number> {
  return (await ramBlocks(qemu)).reduce((sum, bytes) => sum + bytes / PAGE_BYTES, 0)
}

function pageDigest(bytes: Buffer, at: number): string {
  return createHash('sha256').update(bytes.subarray(at, at + PAGE_BYTES)).digest('hex')
}
