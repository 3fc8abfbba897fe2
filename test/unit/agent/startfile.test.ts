import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { StartFile } from '../../../src/agent/startfile.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'

const NOON_MS = Date.parse('2026-01-02T12:00:00Z')
const HOUR_MS = 3_600_000

describe('when an agent started', () => {
  let folder: string
  let path: string
  const warnings: string[] = []
  const log = { ...silentLog, warn: (message: string) => { warnings.push(message) } }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-start-'))
    path = join(folder, 'state', 'host-a.started')
    warnings.length = 0
  })
  afterEach(() => rm(folder, { recursive: true }))

  function startAt(wallTimeMs: number): Promise<StartFile> {
    return StartFile.read({ clock: { ...systemClock, wallTime: () => wallTimeMs }, log }, path)
  }

  it('is later at every start, even if the clock was set back', async () => {
    const first = await startAt(NOON_MS)
    assert.equal(first.startedAt, NOON_MS / 1000)
    await first.write()
    const second = await startAt(NOON_MS - 2 * HOUR_MS)
    assert.equal(second.startedAt, NOON_MS / 1000 + 1)
    await second.write()
    assert.equal((await startAt(NOON_MS)).startedAt, NOON_MS / 1000 + 2)
    assert.equal((await startAt(NOON_MS + HOUR_MS)).startedAt, (NOON_MS + HOUR_MS) / 1000)
    assert.equal(await readFile(path, 'utf8'), `${NOON_MS / 1000 + 1}\n`)
    assert.deepEqual(warnings, [])
  })

  it('is by the clock where nothing was noted, or what was cannot be read', async () => {
    await (await startAt(NOON_MS)).write()
    for (const text of ['', 'noon', '-5', '9'.repeat(11), '9'.repeat(100_000)]) {
      await writeFile(path, text)
      assert.equal((await startAt(NOON_MS)).startedAt, NOON_MS / 1000)
    }
    await writeFile(path, '4294967295')
    assert.equal((await startAt(NOON_MS)).startedAt, 2 ** 32 - 2)
  })

  it('does not keep an agent from starting where it cannot be noted', async () => {
    await writeFile(join(folder, 'state'), 'no directory')
    const file = await startAt(NOON_MS)
    await file.write()
    assert.equal(file.startedAt, NOON_MS / 1000)
    const said = ['when this agent last started is not known', 'the start of this agent could not be noted']
    assert.deepEqual(warnings, said)
  })
})
