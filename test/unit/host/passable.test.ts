import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { makePassable } from '../../../src/host/passable.ts'

describe('a directory that others pass through', () => {
  const modeOf = (path: string): number => statSync(path).mode & 0o777
  let folder = ''

  beforeEach(() => {
    folder = mkdtempSync('/tmp/pm-passable-')
    chmodSync(folder, 0o755)
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  async function underStrictUmask(path: string): Promise<void> {
    const before = process.umask(0o077)
    try {
      await makePassable(path)
    } finally {
      process.umask(before)
    }
  }

  it('is made with all that is missing above it, whatever the umask', async () => {
    const path = join(folder, 'one', 'two', 'three')
    await underStrictUmask(path)
    const made = [join(folder, 'one'), join(folder, 'one', 'two'), path]
    assert.deepEqual(made.map(modeOf), [0o711, 0o711, 0o711])
    assert.equal(modeOf(folder), 0o755)
  })

  it('lets a QEMU of nobody through', async function () {
    if (process.getuid?.() !== 0) this.skip()
    const path = join(folder, 'one', 'two')
    await underStrictUmask(path)
    const { status } = spawnSync('test', ['-x', path], { uid: 65534, gid: 65534 })
    assert.equal(status, 0)
  })

  it('stays as it is if it is there', async () => {
    const path = join(folder, 'own')
    mkdirSync(path, { mode: 0o700 })
    await underStrictUmask(path)
    assert.equal(modeOf(path), 0o700)
  })
})
