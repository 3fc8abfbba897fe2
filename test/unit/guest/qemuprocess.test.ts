import { strict as assert } from 'node:assert'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'

import { readStartTicks } from '../../../src/guest/process.ts'
import { chooseClaimant, findQemu, type Claimant } from '../../../src/guest/qemuprocess.ts'
import type { QmpAsker } from '../../../src/guest/status.ts'

const own = { pid: process.pid, startTicks: readStartTicks(process.pid)! }

/** What is behind a socket says that a thread of this number is its own. */
function saying(thread: number | undefined): QmpAsker {
  const processors = thread === undefined ? [] : [{ 'cpu-index': 0, 'thread-id': thread }]
  return { execute: async () => processors, hmp: async () => '' }
}

describe('the process behind a QMP socket', () => {
  let directory: string
  let servers: Server[]
  const children: ChildProcess[] = []

  beforeEach(() => {
    directory = mkdtempSync('/tmp/listener-test-')
    servers = []
  })

  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    rmSync(directory, { recursive: true })
  })

  async function listenAt(path: string): Promise<void> {
    const server = createServer()
    servers.push(server)
    server.listen(path)
    await once(server, 'listening')
  }

  /** Another process that listens at a path; `before` is the program that starts it, with its words. */
  async function startListener(path: string, more = '', before: string[] = []): Promise<ChildProcess> {
    const words = `${more}; console.log('ready')`
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => {${words}})`
    const [program, ...args] = [...before, process.execPath, '-e', script]
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    children.push(child)
    await once(child.stdout, 'data')
    return child
  }

  it('is the one that it names, if that one listens there, whatever path leads there', async () => {
    const path = join(directory, 'one.qmp')
    await listenAt(path)
    assert.deepEqual(await findQemu(saying(process.pid), path), own)
    assert.deepEqual(await findQemu(saying(process.pid), `${directory}/./one.qmp`), own)
    const other = await startListener(join(directory, 'other.qmp'))
    assert.equal((await findQemu(saying(other.pid), join(directory, 'other.qmp'))).pid, other.pid)
  })

  it('may have bound a path that is relative to where it runs', async () => {
    const before = process.cwd()
    process.chdir(directory)
    try {
      await listenAt('two.qmp')
      assert.deepEqual(await findQemu(saying(process.pid), join(directory, 'two.qmp')), own)
      mkdirSync('inside')
      process.chdir('inside')
      await listenAt('../three.qmp')
      assert.deepEqual(await findQemu(saying(process.pid), join(directory, 'three.qmp')), own)
    } finally {
      // Where it was bound it is removed, too.
      await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
      process.chdir(before)
    }
  })

  it('may count its threads in a PID namespace of its own, as in a container', async function () {
    const unshare = ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child']
    // Many containers may make no namespaces.
    if (spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status !== 0) this.skip()
    const path = join(directory, 'nested.qmp')
    await startListener(path, '', unshare)
    const first = await findQemu(saying(1), path)
    assert.match(readFileSync(`/proc/${first.pid}/status`, 'utf8'), /^NSpid:\s+\d+\s+1$/m)
    const threads = readdirSync(`/proc/${first.pid}/task`).map((thread) =>
      /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${first.pid}/task/${thread}/status`, 'utf8'))![1])
    assert.deepEqual(await findQemu(saying(Number(threads.at(-1))), path), first)
    await assert.rejects(findQemu(saying(threads.length + 1000), path), { code: 'guest-unseen' })
    // Nor is one of ours meant that has the same number, nor another that listens elsewhere.
    await listenAt(join(directory, 'ours.qmp'))
    await assert.rejects(findQemu(saying(1), join(directory, 'ours.qmp')), { code: 'guest-unseen' })
  })

  it('is not one that a listener only claims to be', async () => {
    const path = join(directory, 'mine.qmp')
    await listenAt(path)
    const other = await startListener(join(directory, 'other.qmp'))
    await assert.rejects(findQemu(saying(other.pid), path), { code: 'guest-unseen' })
    await assert.rejects(findQemu(saying(2 ** 22 + 1), path), { code: 'guest-unseen' })
    await assert.rejects(findQemu(saying(undefined), path), { code: 'guest-unproven' })
  })

  it('is not one that put a link in the place of its own socket', async () => {
    const path = join(directory, 'guest.qmp')
    await listenAt(path)
    const decoy = join(directory, 'decoy')
    const attacker = await startListener(decoy,
      `require('fs').unlinkSync('${decoy}'); require('fs').symlinkSync('${path}', '${decoy}')`)
    assert.deepEqual(await findQemu(saying(process.pid), path), own)
    await assert.rejects(findQemu(saying(attacker.pid), path), { code: 'guest-unseen' })
    await assert.rejects(findQemu(saying(process.pid), decoy), { code: 'guest-unproven', message: /links are not/ })
  })

  it('is nobody where nothing is', async () => {
    await assert.rejects(findQemu(saying(process.pid), join(directory, 'none.qmp')), { code: 'guest-unseen' })
  })

  it('is not looked for where all users may put sockets of theirs', async () => {
    mkdirSync(join(directory, 'open'))
    const path = join(directory, 'open', 'a.qmp')
    await listenAt(path)
    chmodSync(join(directory, 'open'), 0o777)
    await assert.rejects(findQemu(saying(process.pid), path), {
      code: 'guest-unproven', advice: `Run \`chmod o-w ${join(directory, 'open')}\`.`,
    })
    renameSync(join(directory, 'open'), join(directory, 'elsewhere'))
    mkdirSync(join(directory, 'shut'))
    symlinkSync(join(directory, 'elsewhere'), join(directory, 'shut', 'link'))
    await assert.rejects(findQemu(saying(process.pid), join(directory, 'shut', 'link', 'a.qmp')), {
      code: 'guest-unproven',
    })
  })
})

describe('the choice among processes that claim a socket', () => {
  const path = '/run/vms/a.qmp'
  const claimant = (pid: number, uid: number, isExact = true): Claimant => ({ pid, startTicks: pid * 10, uid, isExact })

  it('takes the one whose user owns the socket', () => {
    const users = { socketUid: 107, agentUid: 0 }
    assert.deepEqual(chooseClaimant(path, users, [claimant(5, 107, false)]), { pid: 5, startTicks: 50 })
    assert.equal(chooseClaimant(path, users, [claimant(4, 65534), claimant(5, 107)]).pid, 5)
  })

  it('takes one that gave up its rights only where its thread is known beyond doubt', () => {
    const users = { socketUid: 0, agentUid: 0 }
    assert.equal(chooseClaimant(path, users, [claimant(5, 65534)]).pid, 5)
    assert.equal(chooseClaimant(path, { socketUid: 99, agentUid: 99 }, [claimant(5, 65534)]).pid, 5)
    assert.equal(chooseClaimant(path, { socketUid: 0, agentUid: 99 }, [claimant(5, 65534)]).pid, 5)
    assert.throws(() => chooseClaimant(path, { socketUid: 1, agentUid: 0 }, [claimant(5, 65534)]), {
      code: 'guest-unproven',
    })
    assert.throws(() => chooseClaimant(path, users, [claimant(5, 65534, false)]), { code: 'guest-unproven' })
    assert.throws(() => chooseClaimant(path, { socketUid: 107, agentUid: 0 }, [claimant(5, 0)]), {
      code: 'guest-unproven', message: /belongs to user 107, and the process behind it \(5\) does not/,
    })
  })

  it('never guesses', () => {
    const users = { socketUid: 0, agentUid: 0 }
    assert.throws(() => chooseClaimant(path, users, []), { code: 'guest-unseen' })
    assert.throws(() => chooseClaimant(path, users, [claimant(5, 0), claimant(6, 0, false)]), {
      code: 'guest-unproven', message: /several processes claim it: 5, 6/, advice: /end it/,
    })
  })
})
