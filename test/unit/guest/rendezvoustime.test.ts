import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'

import { readStartTicks, type ProcessIdentity } from '../../../src/guest/process.ts'
import { Rendezvous } from '../../../src/guest/rendezvous.ts'
import type { Endpoint } from '../../../src/net/endpoint.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { Arrived, until } from '../../support/endpointcontract.ts'
import { VirtualClock } from '../../support/time.ts'
import { arrivalOf } from './arrivals.ts'

const UID = process.geteuid!()
const never = new AbortController().signal

/** Between two looks of 20 ms a whole second passes: that a minute is over is seen after few of them. */
class HurriedClock extends VirtualClock {
  override now(): number {
    return super.now() * 50
  }
}

describe('a rendezvous in time', () => {
  let directory: string
  let clock: VirtualClock
  const made: Rendezvous[] = []
  const servers: Server[] = []
  const sockets: Socket[] = []
  const children: ChildProcess[] = []

  beforeEach(() => {
    directory = mkdtempSync('/tmp/meet-')
    clock = new VirtualClock()
  })

  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    for (const socket of sockets.splice(0)) socket.destroy()
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
    for (const rendezvous of made.splice(0)) await rendezvous.remove()
    rmSync(directory, { recursive: true })
  })

  async function create(qemu?: ProcessIdentity): Promise<Rendezvous> {
    if (qemu !== undefined) clock = new HurriedClock()
    const init = { directory, uid: UID, process: qemu }
    const rendezvous = await Rendezvous.create({ clock, random: systemRandom }, init)
    made.push(rendezvous)
    return rendezvous
  }

  async function listenAt(path: string): Promise<Server> {
    // Read, each ends with its other end.
    const server = createServer((socket) => socket.resume())
    servers.push(server)
    server.listen(path)
    await once(server, 'listening')
    return server
  }

  /** A client, with whether it was hung up on. */
  async function come(path: string): Promise<{ socket: Socket; isClosed: () => boolean }> {
    const socket = connect(path)
    sockets.push(socket)
    let isClosed = false
    socket.on('error', () => {})
    socket.on('close', () => { isClosed = true })
    socket.resume()
    await once(socket, 'connect')
    return { socket, isClosed: () => isClosed }
  }

  /** It becomes `untilMs`, 20 at a time, each once what is looked at in real time was, and whoever waits only waits. */
  async function runAsleep(untilMs: number): Promise<void> {
    await until(() => clock.pendingCount > 0)
    while (clock.now() < untilMs) {
      await clock.run(clock.now() + 20)
      await until(() => clock.pendingCount > 0)
    }
  }

  const modeOf = (path: string): number => statSync(path).mode & 0o777

  it('connects within 20 ms of when somebody listens, whatever else was at the path before', async () => {
    const rendezvous = await create()
    const { socketPath } = rendezvous
    let endpoint: Endpoint | undefined
    const connecting = rendezvous.connect(never).then((one) => { endpoint = one })
    await runAsleep(100)
    writeFileSync(socketPath, 'no socket')
    await runAsleep(200)
    rmSync(socketPath)
    // A socket at which nobody listens any more.
    const left = await listenAt(socketPath)
    renameSync(socketPath, `${socketPath}2`)
    await new Promise((resolve) => left.close(resolve))
    renameSync(`${socketPath}2`, socketPath)
    await runAsleep(300)
    assert.equal(endpoint, undefined)
    rmSync(socketPath)
    await listenAt(socketPath)
    await clock.run(320)
    await until(() => endpoint !== undefined)
    await connecting
    assert.equal(modeOf(dirname(dirname(socketPath))), 0o700, 'nobody else enters any more')
    endpoint!.destroy()
  })

  it('takes those that come in their order, and hangs up on all others once it is removed', async () => {
    const rendezvous = await create()
    const abort = new AbortController()
    const arrivals = await rendezvous.listen(abort.signal)
    const connection = arrivalOf(arrivals)
    assert.deepEqual([modeOf(rendezvous.socketPath), modeOf(dirname(dirname(rendezvous.socketPath)))], [0o666, 0o711])
    assert.equal(existsSync(join(dirname(dirname(rendezvous.socketPath)), 's')), false)
    assert.equal(getEventListeners(abort.signal, 'abort').length, 1)
    const first = await come(rendezvous.socketPath)
    const second = await come(rendezvous.socketPath)
    const third = await come(rendezvous.socketPath)
    const endpoint = await connection
    const next = await arrivalOf(arrivals)
    await rendezvous.remove()
    assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
    await until(third.isClosed)
    assert.equal(second.isClosed(), false)
    next.destroy()
    await until(second.isClosed)
    const there = new Arrived(endpoint)
    first.socket.end('said')
    await until(() => there.ends === 1)
    assert.equal(there.text, 'said')
    await endpoint.write(Buffer.from('heard'))
    assert.equal(first.isClosed(), false, 'the other direction goes on')
    endpoint.end()
    await until(first.isClosed)
  })

  it('hangs up on whoever comes after it was given up', async () => {
    const rendezvous = await create()
    const abort = new AbortController()
    const connection = arrivalOf(await rendezvous.listen(abort.signal))
    abort.abort(new Error('enough'))
    await assert.rejects(connection, /enough/)
    await until((await come(rendezvous.socketPath)).isClosed)
  })

  it('leaves nothing at the signal once it is removed', async () => {
    const rendezvous = await create()
    const abort = new AbortController()
    await rendezvous.listen(abort.signal)
    await rendezvous.remove()
    await until(() => getEventListeners(abort.signal, 'abort').length === 0)
  })

  describe('with a process that listens and accepts nobody', () => {
    /** It says each time that it accepted a connection; stopped, it accepts none, though the kernel lets them wait. */
    const SCRIPT = `
      require('readline').createInterface({ input: process.stdin }).on('line', (path) => {
        require('net').createServer(() => console.log('accepted')).listen(path, () => console.log('ready'))
      })
      console.log('started')`
    let qemu: ChildProcess
    let rendezvous: Rendezvous
    let accepted: number
    let atMs: number
    let isThere: boolean

    /** So many looks, each once what was done after the one before, in real time, is done. */
    async function look(times: number): Promise<void> {
      for (let time = 0; time < times; time++) {
        await until(() => isThere || clock.pendingCount > 0)
        await clock.run(atMs += 20)
      }
    }

    beforeEach(async () => {
      qemu = spawn(process.execPath, ['-e', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] })
      children.push(qemu)
      await once(qemu.stdout!, 'data')
      rendezvous = await create({ pid: qemu.pid!, startTicks: readStartTicks(qemu.pid!)! })
      qemu.stdin!.write(`${rendezvous.socketPath}\n`)
      await once(qemu.stdout!, 'data')
      accepted = 0
      atMs = 0
      isThere = false
      qemu.stdout!.on('data', (bytes: Buffer) => { accepted += bytes.toString().split('\n').length - 1 })
      qemu.kill('SIGSTOP')
    })

    it('hangs up after a minute, and tries again', async () => {
      const connecting = rendezvous.connect(never)
      void connecting.then(() => { isThere = true })
      await look(100)
      assert.equal(isThere, false)
      qemu.kill('SIGCONT')
      // Time stands still until both were accepted, the one that was left and the one that waits.
      await until(() => accepted >= 2)
      while (!isThere) await look(1)
      assert.equal(accepted, 2)
      const endpoint = await connecting
      endpoint.destroy()
    })

    it('ends the waiting with the signal', async () => {
      const abort = new AbortController()
      const connecting = rendezvous.connect(abort.signal)
      await look(5)
      abort.abort(new Error('enough'))
      await assert.rejects(connecting, /enough/)
      assert.equal(clock.pendingCount, 0)
    })
  })
})
