import assert from 'node:assert/strict'

import { parseMounts, placeOf, seesDirectory } from '../../../src/guest/mounts.ts'

const HOST = parseMounts([
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
  '24 22 0:22 / /run rw,nosuid shared:5 - tmpfs tmpfs rw',
  '25 22 8:1 /data/odd\\040name /srv/with\\040space rw - ext4 /dev/sda1 rw',
  '',
].join('\n'))
const DIRECTORY = '/run/pagemesh/control.sock.d'

describe('what a process sees of a directory', () => {
  it('is found by the mounts above it', () => {
    assert.equal(placeOf(HOST, DIRECTORY), '0:22 /pagemesh/control.sock.d')
    assert.equal(placeOf(HOST, '/run'), '0:22 ')
    assert.equal(placeOf(HOST, '/runner'), '8:1 /runner')
    assert.equal(placeOf(HOST, '/'), '8:1 ')
    assert.equal(placeOf(HOST, '/srv/with space/x'), '8:1 /data/odd name/x')
  })

  it('is the same in a container into which it, or a directory above, was mounted', () => {
    for (const [root, at] of [['/pagemesh', '/run/pagemesh'], ['/', '/run'], ['/pagemesh/control.sock.d', DIRECTORY]]) {
      const container = parseMounts(`90 1 0:99 / / rw - overlay o rw\n91 90 0:22 ${root} ${at} rw - tmpfs tmpfs rw\n`)
      assert.equal(placeOf(container, DIRECTORY), placeOf(HOST, DIRECTORY))
    }
  })

  it('is another where it was not mounted, was mounted elsewhere, or is covered', () => {
    for (const line of ['', '91 90 0:22 /other /run/pagemesh rw -', '91 90 0:22 /pagemesh /run/pm rw -']) {
      const container = parseMounts(`90 1 0:99 / / rw - overlay o rw\n${line}\n`)
      assert.notEqual(placeOf(container, DIRECTORY), placeOf(HOST, DIRECTORY), line)
    }
    const covered = [...HOST, ...parseMounts('95 24 0:50 / /run rw - tmpfs tmpfs rw')]
    assert.equal(placeOf(covered, DIRECTORY), '0:50 /pagemesh/control.sock.d')
  })

  it('is nothing below another root, where the kernel lists no mount', () => {
    assert.equal(placeOf([], DIRECTORY), undefined)
    assert.equal(placeOf(parseMounts('90 1 0:22 / /proc rw -'), DIRECTORY), undefined)
  })

  it('is what it is for this process, and taken for that where it cannot be told', async () => {
    assert.equal(await seesDirectory(process.pid, '/tmp'), true)
    assert.equal(await seesDirectory(2 ** 22 + 1, '/tmp'), true)
  })
})
