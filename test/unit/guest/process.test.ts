import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'

import {
  findListener, isAlive, readArguments, readOwner, readStartTicks, type ProcessIdentity,
} from '../../../src/guest/process.ts'

const own: ProcessIdentity = { pid: process.pid, startTicks: readStartTicks(process.pid)! }

/** No process has this number: the kernel gives out none above 2^22. */
const NO_PID = 2 ** 22 + 1

describe('a process', () => {
  it('is alive only if it is the one that began then', () => {
    const fields = readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /s, '').split(' ')
    assert.equal(own.startTicks, Number(fields[22 - 3]), 'field 22 of stat')
    assert.equal(isAlive(own), true)
    for (const startTicks of [own.startTicks - 1, own.startTicks + 1, 0]) {
      assert.equal(isAlive({ pid: own.pid, startTicks }), false, 'a later process of the same number is another')
    }
    assert.equal(isAlive({ pid: NO_PID, startTicks: own.startTicks }), false)
    assert.equal(readStartTicks(NO_PID), undefined)
  })

  it('has ended when nobody has reaped it yet', async () => {
    // The shell becomes a program that does not ask for the child that the shell left behind.
    const parent = spawn('sh', ['-c', 'cat <&3 >&2 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    })
    try {
      const [text] = await once(parent.stdout!, 'data') as [Buffer]
      const pid = Number(text.toString())
      while (readFileSync(`/proc/${parent.pid}/comm`, 'utf8') !== 'sleep\n') await new Promise(setImmediate)
      assert.ok(readStartTicks(pid)! >= own.startTicks)
      parent.stdio[3]!.destroy()
      while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) await new Promise(setImmediate)
      assert.equal(readStartTicks(pid), undefined)
    } finally {
      await endOf(parent)
    }
  })

  it('may have a name that looks like its state', async () => {
    const named = spawn('sh', ['-c', 'printf ") Z 1" > /proc/$$/comm; echo ready; read line'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    try {
      await once(named.stdout!, 'data')
      assert.match(readFileSync(`/proc/${named.pid}/stat`, 'utf8'), /\(\) Z 1\)/)
      const startTicks = readStartTicks(named.pid!)
      assert.ok(startTicks !== undefined && startTicks >= own.startTicks)
    } finally {
      await endOf(named)
    }
  })

  it('has an owner and arguments', () => {
    assert.deepEqual(readOwner(own.pid), { uid: process.geteuid!(), gid: process.getegid!() })
    assert.throws(() => readOwner(NO_PID), { code: 'guest-gone', fault: 'guest', data: { pid: NO_PID } })
    assert.equal(`${readArguments(own.pid).join('\0')}\0`, readFileSync('/proc/self/cmdline', 'utf8'))
    assert.deepEqual(readArguments(NO_PID), [])
  })
})

describe('who listens at a socket', () => {
  let directory: string
  let servers: Server[]

  beforeEach(() => {
    directory = mkdtempSync('/tmp/listener-test-')
    servers = []
  })

  afterEach(async () => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    rmSync(directory, { recursive: true })
  })

  async function listenAt(path: string): Promise<void> {
    const server = createServer()
    servers.push(server)
    server.listen(path)
    await once(server, 'listening')
  }

  it('is found by the file, whatever path leads there', async () => {
    await listenAt(join(directory, 'one.qmp'))
    assert.deepEqual(findListener(join(directory, 'one.qmp')), own)
    assert.deepEqual(findListener(join(directory, '.', '..', directory.split('/').at(-1)!, 'one.qmp')), own)
  })

  it('is found by a path that is relative to where the process runs', async () => {
    const before = process.cwd()
    process.chdir(directory)
    try {
      await listenAt('two.qmp')
      assert.deepEqual(findListener(join(directory, 'two.qmp')), own)
    } finally {
      process.chdir(before)
    }
  })

  it('is nobody where nothing is, or where the listener has closed', async () => {
    assert.equal(findListener(join(directory, 'none.qmp')), undefined)
    assert.equal(findListener(directory), undefined)
  })

  it('is another process where another one listens', async () => {
    const path = join(directory, 'other.qmp')
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('ready'))`
    const other = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      await once(other.stdout!, 'data')
      await listenAt(join(directory, 'mine.qmp'))
      assert.deepEqual(findListener(path), { pid: other.pid, startTicks: readStartTicks(other.pid!) })
      assert.deepEqual(findListener(join(directory, 'mine.qmp')), own)
    } finally {
      await endOf(other)
    }
    assert.equal(findListener(path), undefined, 'its socket is still there, and nobody listens')
  })
})

async function endOf(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
