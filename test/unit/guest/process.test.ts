import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

import {
  isAlive, readArguments, readStartTicks, readUid, type ProcessIdentity,
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
      await once(named.stdout, 'data')
      assert.match(readFileSync(`/proc/${named.pid}/stat`, 'utf8'), /\(\) Z 1\)/)
      const startTicks = readStartTicks(named.pid!)
      assert.ok(startTicks !== undefined && startTicks >= own.startTicks)
    } finally {
      await endOf(named)
    }
  })

  it('has a user and arguments', () => {
    assert.equal(readUid(own.pid), process.geteuid!())
    assert.throws(() => readUid(NO_PID), { code: 'guest-gone', fault: 'guest', data: { pid: NO_PID } })
    assert.equal(`${readArguments(own.pid).join('\0')}\0`, readFileSync('/proc/self/cmdline', 'utf8'))
    assert.deepEqual(readArguments(NO_PID), [])
  })
})

async function endOf(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
