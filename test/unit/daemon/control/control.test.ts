import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  askAgent, CONTROL_LIMITS, createControlServer, requireNoAgent, type ControlServer, type Progress,
} from '../../../../src/daemon/control/index.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { FakeAgent, HELD, PAGES, progressOf, recordOf, resultOf, STATUS } from '../../../support/fakeagent.ts'

const MIGRATE = { command: 'migrate', arguments: { guest: 'web-1', to: 'host-b' } } as const

const metrics = async (): Promise<string> => 'pagemesh_peers 1\n'

describe('the control socket', () => {
  let folder: string
  let path: string
  let agent: FakeAgent
  let server: ControlServer

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'control-'))
    path = join(folder, 'run', 'control.sock')
    agent = new FakeAgent()
    server = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path })
    await server.start()
  })

  afterEach(async () => {
    await agent.stop()
    await server.stop()
    await rm(folder, { recursive: true })
  })

  it('has mode 0600 whatever the umask, and leaves nothing else in its folder', async () => {
    await server.stop()
    const before = process.umask(0)
    try {
      server = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path })
      await server.start()
    } finally {
      process.umask(before)
    }
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(folder, 'run')), ['control.sock'])
  })

  it('is made in its own folder, which alone need be writable', async () => {
    await server.stop()
    const before = await stat(folder)
    server = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path })
    await server.start()
    assert.equal((await stat(folder)).mtimeMs, before.mtimeMs)
  })

  it('goes when the agent stops', async () => {
    await server.stop()
    await server.stop()
    assert.deepEqual(await readdir(join(folder, 'run')), [])
  })

  it('is left alone at stop when another agent\'s stands there', async () => {
    await rm(path)
    const successor = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path })
    await successor.start()
    await server.stop()
    assert.deepEqual(await askAgent({ path, request: { command: 'ping' } }), { host: 'host-a' })
    await successor.stop()
    assert.equal(existsSync(path), false)
  })

  it('is refused where an agent listens that has no time to answer', async () => {
    const busyPath = join(folder, 'busy.sock')
    const options = JSON.stringify({ path: busyPath, backlog: 1 })
    const script = `require('net').createServer().listen(${options}, () => process.kill(process.pid, 'SIGSTOP'))`
    const busy = spawn(process.execPath, ['-e', script])
    const waiting: Socket[] = []
    try {
      let code: string | undefined = 'ENOENT'
      while (code !== 'EAGAIN') code = await connectCode(busyPath, waiting)
      await assert.rejects(requireNoAgent(busyPath), { code: 'agent-running' })
    } finally {
      busy.kill('SIGKILL')
      await once(busy, 'exit')
      for (const socket of waiting) socket.destroy()
    }
  })

  it('is refused where an agent listens, and that one is left alone', async () => {
    const second = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path })
    await assert.rejects(second.start(), { code: 'agent-running' })
    await second.stop()
    assert.deepEqual(await askAgent({ path, request: { command: 'ping' } }), { host: 'host-a' })
  })

  it('takes the place of a socket that a dead agent left', async () => {
    const stale = join(folder, 'stale.sock')
    const script = `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 9))`
    const dying = spawn(process.execPath, ['-e', script])
    await once(dying, 'exit')
    assert.ok(existsSync(stale))
    await requireNoAgent(stale)
    const successor = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path: stale })
    await successor.start()
    assert.deepEqual(await askAgent({ path: stale, request: { command: 'ping' } }), { host: 'host-a' })
    await successor.stop()
    assert.equal(existsSync(stale), false)
  })

  it('never takes the place of what is no socket, nor a path that is too long', async () => {
    const file = join(folder, 'notes')
    await writeFile(file, 'mine')
    for (const unusable of [file, join(folder, 'x'.repeat(100))]) {
      const other = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path: unusable })
      await assert.rejects(other.start(), { code: 'control-unusable' })
    }
  })

  it('is not made where others could put one of theirs', async () => {
    const open = join(folder, 'open')
    await mkdir(open)
    await chmod(open, 0o777)
    const other = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path: join(open, 's') })
    await assert.rejects(other.start(), { code: 'directory-exposed' })
  })

  it('answers status exactly', async () => {
    assert.deepEqual(await askAgent({ path, request: { command: 'status' } }), STATUS)
  })

  it('answers pages, as many as are asked for', async () => {
    const ask = (countMax: number): Promise<unknown> =>
      askAgent({ path, request: { command: 'pages', arguments: { countMax } } })
    assert.deepEqual(await ask(1), { pages: PAGES.slice(0, 1) })
    assert.deepEqual(await ask(5), { pages: PAGES })
  })

  it('answers the longest list of pages whole', async () => {
    const holders = ['a', 'b', 'c'].map((letter) => letter.repeat(63))
    const page = { prefix: 'ffffffffffffffff', guests: 65_535, hosts: 65_535, held: false, holders }
    agent.popularPages = Array.from({ length: CONTROL_LIMITS.pagesMax }, () => page)
    const request = { command: 'pages', arguments: { countMax: CONTROL_LIMITS.pagesMax } } as const
    const { pages } = await askAgent<{ pages: unknown[] }>({ path, request })
    assert.equal(pages.length, CONTROL_LIMITS.pagesMax)
    assert.deepEqual(pages.at(-1), page)
  })

  it('shows progress, then the result', async () => {
    const seen: Progress[] = []
    const result = await askAgent({
      path,
      request: MIGRATE,
      onProgress: (progress) => {
        seen.push(progress)
        agent.handoffs[0]!.outcome.resolve(resultOf(MIGRATE.arguments, 'completed'))
      },
    })
    assert.deepEqual(seen, [progressOf(MIGRATE.arguments)])
    assert.deepEqual(result, resultOf(MIGRATE.arguments, 'completed'))
  })

  it('estimates in a dry run and moves nothing', async () => {
    const dryRun = { command: 'migrate', arguments: { ...MIGRATE.arguments, dryRun: true } } as const
    const estimate = await askAgent({ path, request: dryRun })
    assert.deepEqual(estimate, await agent.estimate(MIGRATE.arguments))
    assert.equal(agent.handoffs.length, 0)
  })

  it('cancels when the waiting client asks', async () => {
    const cancel = new AbortController()
    const result = await askAgent<{ status: string }>({
      path, request: MIGRATE, cancel: cancel.signal, onProgress: () => cancel.abort(),
    })
    assert.equal(result.status, 'cancelled')
  })

  it('cancels by name from another connection, and answers when the handoff has ended', async () => {
    const waiting = Promise.withResolvers<void>()
    const migrating = askAgent<{ status: string }>({ path, request: MIGRATE, onProgress: () => waiting.resolve() })
    await waiting.promise
    const cancelled = await askAgent({ path, request: { command: 'cancel', arguments: { guest: 'web-1' } } })
    assert.deepEqual(cancelled, {
      guest: 'web-1', status: 'cancelled', reason: 'Cancelled.',
      result: resultOf(MIGRATE.arguments, 'cancelled', 'Cancelled.'),
    })
    assert.equal((await migrating).status, 'cancelled')
  })

  it('says that a cancel came too late, once that is decided', async () => {
    agent.isCancellable = false
    const waiting = Promise.withResolvers<void>()
    const migrating = askAgent<{ status: string }>({ path, request: MIGRATE, onProgress: () => waiting.resolve() })
    await waiting.promise
    const cancelling = askAgent({ path, request: { command: 'cancel', arguments: { guest: 'web-1' } } })
    const result = resultOf(MIGRATE.arguments, 'completed')
    agent.handoffs[0]!.outcome.resolve(result)
    assert.deepEqual(await cancelling, { guest: 'web-1', status: 'too-late', result })
    assert.equal((await migrating).status, 'completed')
  })

  it('recovers with progress, and cancels that when the waiting client asks', async () => {
    const request = { command: 'recover', arguments: { guest: 'web-1' } } as const
    const cancel = new AbortController()
    const result = await askAgent<{ status: string; mode: string }>({
      path, request, cancel: cancel.signal, onProgress: () => cancel.abort(),
    })
    assert.deepEqual([result.status, result.mode], ['cancelled', 'postcopy'])
    assert.deepEqual(agent.calls, ['recover'])
  })

  it('says what is known of a held guest, and settles it', async () => {
    const about = { guest: HELD.guest }
    assert.deepEqual(await askAgent({ path, request: { command: 'held', arguments: about } }), HELD)
    const settle = (decision: 'run' | 'end'): Promise<unknown> =>
      askAgent({ path, request: { command: 'settle', arguments: { ...about, decision } } })
    assert.deepEqual(await settle('run'), { ...about, decision: 'run', state: 'running' })
    assert.deepEqual(await settle('end'), { ...about, decision: 'end', state: 'ended' })
    const other = { guest: 'nobody' }
    await assert.rejects(askAgent({ path, request: { command: 'held', arguments: other } }), { code: 'not-held' })
  })

  it('lists as much of the history as is asked for, newest first', async () => {
    const { arguments: moved } = MIGRATE
    agent.records = [recordOf(resultOf(moved, 'completed')), recordOf(resultOf(moved, 'failed', 'It broke.'))]
    const ask = (countMax: number): Promise<unknown> =>
      askAgent({ path, request: { command: 'history', arguments: { countMax } } })
    assert.deepEqual(await ask(1), { handoffs: agent.records.slice(0, 1) })
    assert.deepEqual(await ask(200), { handoffs: agent.records })
  })

  it('hands the agent\'s own errors on', async () => {
    await assert.rejects(askAgent({ path, request: { command: 'cancel', arguments: { guest: 'nobody' } } }), {
      code: 'no-handoff', fault: 'usage', advice: 'Look at status.', message: 'No handoff of nobody runs.',
    })
  })

  it('lets a handoff go on when the client hangs up', async () => {
    const socket = await connected(path)
    socket.write(`${JSON.stringify(MIGRATE)}\n`)
    await once(socket, 'data')
    socket.destroy()
    await once(socket, 'close')
    // Two rounds through the server: the hang-up has been seen by then.
    await askAgent({ path, request: { command: 'ping' } })
    await askAgent({ path, request: { command: 'ping' } })
    assert.equal(agent.handoffs[0]!.request.signal?.aborted, false)
  })

  it('gives the last answers before it stops', async () => {
    const waiting = Promise.withResolvers<void>()
    const migrating = askAgent<{ status: string }>({ path, request: MIGRATE, onProgress: () => waiting.resolve() })
    await waiting.promise
    await agent.stop()
    await server.stop()
    assert.equal((await migrating).status, 'cancelled')
  })

  for (const [what, sent, code] of [
    ['garbage', 'how are you?\n', 'bad-request'],
    ['an overlong line', 'x'.repeat(CONTROL_LIMITS.requestBytesMax + 1), 'bad-request'],
    ['a second request meanwhile', `${JSON.stringify(MIGRATE)}\n{"command":"ping"}\n`, 'busy'],
  ] as const) {
    it(`answers ${what} with an error and hangs up`, async () => {
      const socket = await connected(path)
      socket.write(sent)
      const pieces: Buffer[] = []
      for await (const piece of socket) pieces.push(piece as Buffer)
      const answers = Buffer.concat(pieces).toString().trimEnd().split('\n').map((line) => JSON.parse(line) as object)
      const errors = answers.flatMap((answer) => ('error' in answer ? [answer.error as { code: string }] : []))
      assert.deepEqual(errors.map((error) => error.code), [code])
    })
  }

  it('answers several requests of one connection in turn', async () => {
    const socket = await connected(path)
    for (let round = 0; round < 3; round += 1) {
      socket.write('{"command":"ping"}\n')
      const [bytes] = await once(socket, 'data') as [Buffer]
      assert.deepEqual(JSON.parse(bytes.toString()), { result: { host: 'host-a' } })
    }
    socket.destroy()
  })

  it('turns away whoever has been silent for longest when there are more clients than the limit', async () => {
    const clients = await Promise.all(Array.from({ length: CONTROL_LIMITS.connectionsMax }, () => connected(path)))
    const ended = once(clients[0]!, 'close')
    clients[0]!.resume()
    assert.deepEqual(await askAgent({ path, request: { command: 'ping' } }), { host: 'host-a' })
    await ended
    assert.deepEqual(clients.map((client) => client.destroyed).indexOf(false), 1)
    clients.forEach((client) => client.destroy())
  })

  it('turns away one more client only when all others wait for answers', async () => {
    const clients: Socket[] = []
    for (let count = 1; count <= CONTROL_LIMITS.connectionsMax; count += 1) {
      const client = await connected(path)
      client.write(`${JSON.stringify(MIGRATE)}\n`)
      clients.push(client)
    }
    while (agent.handoffs.length < clients.length) await systemClock.sleep(5)
    await assert.rejects(askAgent({ path, request: { command: 'ping' } }), { code: 'agent-ended' })
    clients.forEach((client) => client.destroy())
  })
})

describe('a command\'s end of the control socket', () => {
  it('says that no agent is there', async () => {
    await assert.rejects(askAgent({ path: '/nonexistent/control.sock', request: { command: 'ping' } }), {
      code: 'no-agent', message: /^No agent answers at \/nonexistent\/control\.sock/, advice: /pagemesh agent --config/,
    })
  })
})

async function connected(path: string): Promise<Socket> {
  const socket = connect(path)
  await once(socket, 'connect')
  return socket
}

/** Connects and stays; undefined if that was possible, else the system's code. */
function connectCode(path: string, sockets: Socket[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    sockets.push(socket)
    socket.once('connect', () => resolve(undefined))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
  })
}
