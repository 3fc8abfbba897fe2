import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { RemovedKeysFile } from '../../../src/agent/removedkeys.ts'
import { REMOVED_KEYS_MAX } from '../../../src/rotation/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'

const idOf = (number: number): string => number.toString(16).padStart(16, '0')

describe('the cluster keys that were removed from a host', () => {
  let folder: string
  let path: string
  let warnings: string[]
  const read = () => RemovedKeysFile.read({
    log: { ...silentLog, warn: (message: string) => { warnings.push(message) } },
  }, path)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-removed-'))
    path = join(folder, 'state', 'host-a.removedkeys')
    warnings = []
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('are known at the next start, the last ones of many', async () => {
    const file = await read()
    assert.deepEqual(file.ids(), [])
    for (let number = 0; number < REMOVED_KEYS_MAX + 2; number++) await file.add(idOf(number))
    await file.add(idOf(5))
    const ids = (await read()).ids()
    assert.deepEqual(ids, file.ids())
    assert.deepEqual([ids.length, ids[0], ids.at(-1)], [REMOVED_KEYS_MAX, idOf(2), idOf(5)])
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(warnings, [])
  })

  it('are those that can be read of a damaged file, and none of one that is too long', async () => {
    await (await read()).add(idOf(1))
    await writeFile(path, `${idOf(1)}\ngarbage\n${idOf(2).toUpperCase()}G\n${idOf(3)}`)
    assert.deepEqual((await read()).ids(), [idOf(1), idOf(3)])
    await writeFile(path, `${idOf(1)}\n`.repeat(100))
    assert.deepEqual((await read()).ids(), [])
  })

  it('are known until the end where they cannot be written, which is logged', async () => {
    await mkdir(path, { recursive: true })
    const file = await read()
    await file.add(idOf(1))
    assert.deepEqual(file.ids(), [idOf(1)])
    assert.deepEqual(warnings, ['a removed cluster key could not be noted'])
    await rm(path, { recursive: true })
    await file.add(idOf(2))
    assert.equal(await readFile(path, 'utf8'), `${idOf(1)}\n${idOf(2)}\n`)
  })
})
