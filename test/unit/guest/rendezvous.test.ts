import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'

import { readStartTicks, type ProcessIdentity } from '../../../src/guest/process.ts'
import { Rendezvous } from '../../../src/guest/rendezvous.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { arrivalOf } from './arrivals.ts'

const uid = process.geteuid!()
const never = new AbortController().signal

/** Stands for a QEMU: it connects to the paths that it is told, and listens at those with a plus before them. */
const SCRIPT = `
  const net = require('net')
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    if (line[0] === '+') net.createServer(() => {}).listen(line.slice(1), () => console.log('done'))
    else net.connect(line).on('connect', () => console.log('done')).on('close', () => console.log('closed'))
  })
  console.log('done')`

describe('a rendezvous with a process', () => {
  let directory: string
  let rendezvous: Rendezvous
  let qemu: ChildProcess
  let stranger: ChildProcess
  let server: Server | undefined

  async function start(): Promise<ChildProcess> {
    const child = spawn(process.execPath, ['-e', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    return child
  }

  /** Resolves when the child says that its connection was closed; what it says before may come together with it. */
  function closedBy(child: ChildProcess): Promise<void> {
    return new Promise((resolve) => {
      child.stdout!.on('data', (bytes: Buffer) => {
        if (bytes.includes('closed')) resolve()
      })
    })
  }

  async function tell(child: ChildProcess, line: string): Promise<void> {
    child.stdin!.write(`${line}\n`)
    await once(child.stdout!, 'data')
  }

  function identityOf(child: ChildProcess): ProcessIdentity {
    return { pid: child.pid!, startTicks: readStartTicks(child.pid!)! }
  }

  beforeEach(async () => {
    directory = mkdtempSync('/tmp/meet-')
    qemu = await start()
    stranger = await start()
    const init = { directory, uid, process: identityOf(qemu) }
    rendezvous = await Rendezvous.create({ clock: systemClock, random: systemRandom }, init)
  })

  afterEach(async () => {
    for (const child of [qemu, stranger]) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    server?.close()
    server = undefined
    await rendezvous.remove()
    rmSync(directory, { recursive: true })
  })

  it('drops whoever else comes, and waits on', async () => {
    const connection = arrivalOf(await rendezvous.listen(never))
    let isThere = false
    void connection.then(() => { isThere = true })
    const closed = closedBy(stranger)
    await tell(stranger, rendezvous.socketPath)
    await closed
    assert.equal(isThere, false)
    await tell(qemu, rendezvous.socketPath)
    const endpoint = await connection
    endpoint.destroy()
  })

  it('drops whoever comes before that process has connected, where the kernel\'s table cannot be read', async () => {
    const before = process.env['PATH']
    process.env['PATH'] = '/nonexistent'
    try {
      const connection = arrivalOf(await rendezvous.listen(never))
      const closed = closedBy(stranger)
      stranger.stdin!.write(`${rendezvous.socketPath}\n`)
      await closed
      await tell(qemu, rendezvous.socketPath)
      const endpoint = await connection
      endpoint.destroy()
    } finally {
      process.env['PATH'] = before
    }
  })

  it('tells them apart also when both are there', async () => {
    const connection = arrivalOf(await rendezvous.listen(never))
    const closed = closedBy(stranger)
    await Promise.all([tell(stranger, rendezvous.socketPath), tell(qemu, rendezvous.socketPath)])
    const endpoint = await connection
    await closed
    endpoint.destroy()
  })

  it('has a name that nobody reads in the kernel\'s tables', async () => {
    const connection = arrivalOf(await rendezvous.listen(never))
    await tell(qemu, rendezvous.socketPath)
    const endpoint = await connection
    assert.equal(readFileSync('/proc/net/unix', 'utf8').includes(rendezvous.socketPath), false)
    endpoint.destroy()
  })

  it('connects to a socket of that process alone', async () => {
    const strangers: Socket[] = []
    server = createServer((socket) => strangers.push(socket))
    server.listen(rendezvous.socketPath)
    await once(server, 'listening')
    const abort = new AbortController()
    const refused = assert.rejects(rendezvous.connect(abort.signal), /enough/)
    await new Promise((resolve) => connect(rendezvous.socketPath).on('connect', resolve).on('close', () => {}))
    abort.abort(new Error('enough'))
    await refused
    assert.equal(strangers.length, 1, 'nobody but the test itself connected')
    strangers[0]!.destroy()
    await new Promise((resolve) => server!.close(resolve))
    await tell(qemu, `+${rendezvous.socketPath}`)
    const endpoint = await rendezvous.connect(never)
    endpoint.destroy()
  })

  it('says so when the socket of that process was taken away', async () => {
    await tell(qemu, `+${rendezvous.socketPath}`)
    rmSync(rendezvous.socketPath)
    symlinkSync(directory, rendezvous.socketPath)
    await assert.rejects(rendezvous.connect(never), { code: 'rendezvous-disturbed' })
  })
})
