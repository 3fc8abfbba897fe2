import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { cannotHaveRun, endProcess, type Hearing } from '../../../src/guest/endprocess.ts'
import { isAlive, readStartTicks, type ProcessIdentity } from '../../../src/guest/process.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

describe('whether the guest of a QEMU that does not answer has not run', () => {
  const loading: Hearing = { status: 'active', hasResumed: false, wasInterrupted: false }

  it('is certain while it loads, by all that it said', () => {
    assert.equal(cannotHaveRun(loading), true)
    assert.equal(cannotHaveRun({ ...loading, status: 'setup' }), true)
  })

  for (const status of [
    undefined, 'none', 'completed', 'failed', 'cancelled', 'device', 'postcopy-active', 'postcopy-paused',
    'postcopy-recover', 'colo', 'wait-unplug', 'invented',
  ]) it(`is not certain where its migration is ${status}`, () => {
    assert.equal(cannotHaveRun({ ...loading, status }), false)
  })

  it('is not certain where it said that it lets its guest run, or may have', () => {
    assert.equal(cannotHaveRun({ ...loading, hasResumed: true }), false)
    assert.equal(cannotHaveRun({ ...loading, wasInterrupted: true }), false)
  })
})

describe('a process that is ended by force', () => {
  const directory = mkdtempSync('/tmp/end-process-')
  const path = join(directory, 'vm.qmp')
  let child: ChildProcess
  let identity: ProcessIdentity

  beforeEach(async () => {
    rmSync(path, { force: true })
    const program = `
      const server = require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('listens'))
      process.stdin.once('data', () => server.close(() => console.log('closed')))
    `
    child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(child.stdout!, 'data')
    identity = { pid: child.pid!, startTicks: readStartTicks(child.pid!)! }
  })

  afterEach(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  })

  after(() => rmSync(directory, { recursive: true }))

  const end = (about = identity, kill?: (pid: number) => void): void =>
    endProcess({ name: 'vm', process: about }, path, ...kill === undefined ? [] : [kill])
  const never = (): void => { throw new Error('another process was killed') }

  it('is killed where it listens still', async () => {
    const ended = once(child, 'exit')
    end()
    assert.deepEqual(await ended, [null, 'SIGKILL'])
    end(identity, never)
  })

  it('is left alone if it is a later one of the same number', () => {
    end({ ...identity, startTicks: identity.startTicks + 1 }, never)
    assert.ok(isAlive(identity))
  })

  const moved: Record<string, () => void> = {
    'the socket is gone': () => rmSync(path),
    'something else is in its place': () => {
      rmSync(path)
      writeFileSync(path, '')
    },
    'it listens elsewhere': () => renameSync(path, `${path}.other`),
  }
  for (const [what, move] of Object.entries(moved)) {
    it(`is left alone where ${what}`, () => {
      move()
      assert.throws(() => end(identity, never), (error) => {
        assert.ok(error instanceof PagemeshError && error.code === 'guest-silent')
        assert.match(error.message, /it may be another's/)
        return true
      })
      assert.ok(isAlive(identity))
    })
  }

  it('is left alone where another process listens', async () => {
    child.stdin!.write('close')
    await once(child.stdout!, 'data')
    const server = createServer().listen(path)
    await once(server, 'listening')
    try {
      assert.throws(() => end(identity, never), { code: 'guest-silent' })
    } finally {
      server.close()
    }
  })

  it('is named with what ends it where the agent has not the right', () => {
    const refuse = (): void => { throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' }) }
    assert.throws(() => end(identity, refuse), (error) => {
      assert.ok(error instanceof PagemeshError && error.code === 'guest-silent')
      assert.match(error.message, new RegExp(`QEMU of vm, process ${child.pid}, does not answer.*CAP_KILL`))
      assert.match(String(error.advice), new RegExp(`stays at its source\\..*as root: kill -KILL ${child.pid}$`))
      return true
    })
  })

  it('may have ended this moment', () => {
    end(identity, () => { throw Object.assign(new Error('kill ESRCH'), { code: 'ESRCH' }) })
  })
})
