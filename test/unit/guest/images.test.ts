import { strict as assert } from 'node:assert'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { keepsFrom, parseFileLocks } from '../../../src/guest/filelocks.ts'
import { findImageFaults, isTaken } from '../../../src/guest/images.ts'
import { guestNameOf } from '../../../src/guest/openfiles.ts'

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

describe('the name of a guest', () => {
  it('is what -name says, the last time', () => {
    assert.equal(guestNameOf(['qemu', '-name', 'vm', '-m', '64']), 'vm')
    assert.equal(guestNameOf(['qemu', '-name', 'debug-threads=on,guest=vm 2']), 'vm 2')
    assert.equal(guestNameOf(['qemu', '-name', 'a', '-name', 'b']), 'b')
    assert.equal(guestNameOf(['qemu', '-name', 'debug-threads=on']), undefined)
    assert.equal(guestNameOf(['vim', 'name']), undefined)
    assert.equal(guestNameOf([]), undefined)
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
    assert.equal(isTaken(process.pid, { path, writes: false }), true)
    assert.equal(isTaken(process.pid, { path: 'nbd://host/disk', writes: true }), undefined)
  })

  it('that nobody else has is no hindrance, nor one that has no path here', () => {
    assert.deepEqual(findImageFaults(process.pid, 'vm', [{ path, writes: true }]), [])
    assert.deepEqual(findImageFaults(process.pid, 'vm', [{ path: '/dev/fdset/1', writes: true }]), [])
  })
})
