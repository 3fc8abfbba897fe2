import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { keepsFrom, parseFileLocks } from '../../../src/guest/filelocks.ts'
import { findImageFaults, isTaken, lockFault, queryImages, useOf } from '../../../src/guest/images.ts'
import { findLockHolders, type LockHolder } from '../../../src/guest/openfiles.ts'
import { readArguments } from '../../../src/guest/process.ts'
import { guestNameOf } from '../../../src/guest/qemuarguments.ts'
import type { QmpAsker } from '../../../src/guest/status.ts'
import { statOrNothing } from '../../../src/guest/vanishing.ts'

/** A disk of a running QEMU 7.2, raw, as /proc/PID/fdinfo shows it. */
const RAW = `pos:	0
flags:	02100002
mnt_id:	24
lock:	1: OFDLCK ADVISORY  READ -1 fe:00:2180050 100 101
lock:	2: OFDLCK ADVISORY  READ -1 fe:00:2180050 201 201
`

describe('locks of an image', () => {
  const writes = { writes: true, sharesWriting: false }
  const reads = { writes: false, sharesWriting: false }

  function lock(kind: string, from: number, to: number | 'EOF') {
    return parseFileLocks(`lock:\t1: ${kind} ADVISORY  READ 77 fe:00:5 ${from} ${to}\n`)
  }

  it('are read as the kernel prints them', () => {
    assert.deepEqual(parseFileLocks(RAW), [
      { kind: 'OFDLCK', start: 100, end: 101 }, { kind: 'OFDLCK', start: 201, end: 201 },
    ])
    assert.deepEqual(lock('POSIX', 0, 'EOF'), [{ kind: 'POSIX', start: 0, end: Infinity }])
    assert.deepEqual(parseFileLocks('pos:\t0\nflags:\t02\n'), [])
  })

  it('of a QEMU whose guest runs keep another from writing, and from reading', () => {
    assert.equal(keepsFrom(parseFileLocks(RAW), writes), true)
    assert.equal(keepsFrom(parseFileLocks(RAW), reads), true)
  })

  it('of a reader that lets others write keep nobody from anything', () => {
    assert.equal(keepsFrom(lock('OFDLCK', 100, 100), writes), false)
    assert.equal(keepsFrom(lock('OFDLCK', 100, 100), reads), false)
  })

  it('conflict byte by byte: what is used with what is not shared', () => {
    assert.equal(keepsFrom(lock('OFDLCK', 201, 201), writes), true, 'it lets nobody write')
    assert.equal(keepsFrom(lock('OFDLCK', 201, 201), reads), false)
    assert.equal(keepsFrom(lock('OFDLCK', 200, 200), reads), true, 'it lets nobody read')
    assert.equal(keepsFrom(lock('OFDLCK', 101, 101), reads), true, 'it writes')
    assert.equal(keepsFrom(lock('OFDLCK', 101, 101), { writes: true, sharesWriting: true }), false)
    assert.equal(keepsFrom(lock('OFDLCK', 103, 103), writes), true, 'it resizes')
    assert.equal(keepsFrom(lock('OFDLCK', 102, 102), writes), false)
  })

  it('of a whole file conflict if they are of QEMU\'s kind', () => {
    assert.equal(keepsFrom(lock('POSIX', 0, 'EOF'), writes), true)
    assert.equal(keepsFrom(lock('FLOCK', 0, 'EOF'), writes), false)
    assert.equal(keepsFrom(lock('LEASE', 0, 'EOF'), writes), false)
  })
})

describe('an image', () => {
  let directory: string
  let path: string

  beforeEach(() => {
    directory = mkdtempSync('/tmp/images-')
    path = join(directory, 'disk')
    writeFileSync(path, 'x')
  })

  afterEach(() => rmSync(directory, { recursive: true }))

  it('is taken once it is open for writing', () => {
    assert.equal(isTaken(process.pid, { path, writes: true }), false)
    const reader = openSync(path, 'r')
    assert.equal(isTaken(process.pid, { path, writes: true }), false)
    const writer = openSync(path, 'r+')
    assert.equal(isTaken(process.pid, { path, writes: true }), true)
    closeSync(reader)
    closeSync(writer)
    const appender = openSync(relative(process.cwd(), path), 'a')
    assert.equal(isTaken(process.pid, { path: relative(process.cwd(), path), writes: true }), true)
    closeSync(appender)
    assert.equal(isTaken(process.pid, { path, writes: true }), false)
    assert.equal(isTaken(process.pid, { path, writes: false }), true)
    assert.equal(isTaken(process.pid, { path: 'nbd://host/disk', writes: true }), undefined)
  })

  it('that nobody else has is no hindrance, nor one that has no path here', () => {
    assert.deepEqual(findImageFaults(process.pid, 'vm', [{ path, writes: true }]), [])
    assert.deepEqual(findImageFaults(process.pid, 'vm', [{ path: '/dev/fdset/1', writes: true }]), [])
  })

  it('that QEMU\'s user may not write is told', async function () {
    const isRoot = process.geteuid!() === 0
    // Root may write everything, and so another user must play QEMU's.
    const child = isRoot ? spawn('sleep', ['60'], { uid: 65534, gid: 65534 }) : undefined
    const pid = child?.pid ?? process.pid
    try {
      if (statOrNothing(`/proc/${pid}/root`) === undefined) this.skip()
      const own: [number, number, boolean][] = [[0o600, 65534, true], [0o200, 65534, true], [0o466, 65534, false]]
      const others: [number, number, boolean][] =
        [[0o600, 0, false], [0o755, 0, false], [0o620, 0, true], [0o602, 0, true]]
      for (const [mode, uid, may] of [...own, ...isRoot ? others : []]) {
        if (isRoot) chownSync(path, uid, 0)
        chmodSync(path, mode)
        const faults = may ? [] : [`The disk ${path} may not be written by its QEMU (process ${pid}).`]
        assert.deepEqual(findImageFaults(pid, 'vm', [{ path, writes: true }]), faults, mode.toString(8))
        assert.deepEqual(findImageFaults(pid, 'vm', [{ path, writes: false }]), [])
      }
      if (isRoot) assert.deepEqual(findImageFaults(process.pid, 'vm', [{ path, writes: true }]), [])
    } finally {
      child?.kill('SIGKILL')
      if (child !== undefined) await once(child, 'exit')
    }
  })

  it('is held by whoever has a lock on it, and by nobody who only has it open', () => {
    const stranger = 1
    const reader = openSync(path, 'r')
    assert.deepEqual(findLockHolders(stranger, statSync(path)), [])
    closeSync(reader)
    const locked = join(directory, 'locked')
    const database = new DatabaseSync(locked)
    database.exec('BEGIN EXCLUSIVE')
    const [holder, ...more] = findLockHolders(stranger, statSync(locked))
    assert.deepEqual([holder!.pid, holder!.command, holder!.guest, more], [
      process.pid, readFileSync('/proc/self/comm', 'utf8').trim(), guestNameOf(readArguments(process.pid)), [],
    ])
    assert.deepEqual(holder!.locks.map(({ kind }) => kind), ['POSIX'])
    assert.deepEqual(findLockHolders(process.pid, statSync(locked)), [], 'one\'s own locks are no hindrance')
    assert.deepEqual(findLockHolders(stranger, statSync(path)), [], 'that is another file')
    // SQLite's lock is of other bytes than QEMU's.
    assert.deepEqual(findImageFaults(stranger, 'vm', [{ path: locked, writes: false }]), [])
    database.close()
    assert.deepEqual(findLockHolders(stranger, statSync(locked)), [])
  })
})

describe('the use of an image', () => {
  const disk = { path: '/srv/a.raw', writes: true }

  it('is what the guest\'s devices say, where they have one', async () => {
    const devices = [
      { device: 'd0', inserted: { file: '/srv/a.raw', ro: false } },
      { device: 'd1', inserted: { file: '/srv/b.iso', ro: true } }, { device: 'd2' },
      { device: 'd3', inserted: { file: '', ro: false } }, { device: 'd4', inserted: { file: 'json:{}' } },
    ]
    const qmp: QmpAsker = {
      execute: async (command) => command === 'query-block' ? devices : {}, hmp: async () => '',
    }
    assert.deepEqual(await queryImages(qmp), [
      disk, { path: '/srv/b.iso', writes: false }, { path: 'json:{}', writes: true },
    ])
  })

  it('is shared where a device says so, however that is written', () => {
    for (const word of ['scsi-hd,drive=d0,share-rw=on', '{"driver":"scsi-hd","share-rw": true}', 'a,share-rw=true']) {
      assert.deepEqual(useOf(disk, ['-device', word]), { writes: true, sharesWriting: true }, word)
    }
    assert.deepEqual(useOf({ ...disk, writes: false }, ['-device', 'scsi-hd,share-rw=off']),
      { writes: false, sharesWriting: false })
    assert.deepEqual(useOf(disk, []), { writes: true, sharesWriting: false })
  })

  it('needs no lock where QEMU was told to leave that image unlocked', () => {
    for (const word of [`file=${disk.path},file.locking=off`, `{"filename":"${disk.path}","locking": "off"}`]) {
      assert.equal(useOf(disk, ['qemu', '-drive', word]), undefined, word)
    }
    for (const word of [`file=${disk.path},file.locking=on`, 'file=/srv/other.raw,file.locking=off']) {
      assert.notEqual(useOf(disk, ['qemu', '-drive', word]), undefined, word)
    }
  })

  it('is kept from whoever comes second, unless that is the same guest on its way', () => {
    const use = { writes: true, sharesWriting: false }
    const running = { pid: 7, command: 'qemu-system-x86', locks: parseFileLocks(RAW) }
    const fault = (...holders: LockHolder[]) => lockFault(disk.path, use, { guest: 'web', holders })
    assert.equal(fault(), undefined)
    assert.equal(fault({ ...running, guest: 'web' }), undefined)
    assert.equal(fault({ ...running, guest: 'mail' }), 'The disk /srv/a.raw is in use by guest mail (process 7).')
    const idle = { pid: 5, command: 'cat', guest: undefined, locks: [] }
    assert.equal(fault(idle, { ...running, guest: 'web' }), undefined)
    assert.equal(fault(idle, { ...running, guest: undefined }),
      'The disk /srv/a.raw is in use by qemu-system-x86 (process 7).')
    assert.equal(lockFault(disk.path, undefined, { guest: 'web', holders: [{ ...running, guest: 'mail' }] }), undefined)
    const reads = { writes: false, sharesWriting: true }
    assert.equal(lockFault(disk.path, reads, { guest: 'web', holders: [{ ...running, guest: 'mail' }] }), undefined)
  })
})
