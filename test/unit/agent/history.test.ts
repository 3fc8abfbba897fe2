import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { createHistory, type History } from '../../../src/agent/history.ts'
import type { Log } from '../../../src/runtime/log.ts'
import type { HandoffResult } from '../../../src/transfer/index.ts'
import { resultOf } from '../../support/fakeagent.ts'
import { madeClock, madeDirectory, madeLog } from '../../support/madestore.ts'

const clock = madeClock()
const wall = '2023-11-14T22:13:20.000Z'
const directory = madeDirectory()
let count = 0

function result(guest: string): HandoffResult {
  return resultOf({ guest, to: 'host-b' }, 'failed', 'It broke.')
}

async function opened(path: string, log: Log = madeLog()): Promise<History> {
  const history = createHistory({ clock, log }, { path })
  await history.start()
  return history
}

describe('the history of handoffs', () => {
  let path = ''

  beforeEach(() => { path = join(directory, `of-${count++}`, 'host-a.history') })

  it('lists both directions, newest first, and survives a restart', async () => {
    const history = await opened(path)
    assert.deepEqual(history.list(), [])
    await Promise.all([
      history.add(result('web'), { direction: 'outgoing' }),
      history.add(result('db'), { direction: 'incoming', driver: 'relay', manager: 'libvirt' }),
    ])
    const expected = [
      { ...result('db'), direction: 'incoming', driver: 'relay', manager: 'libvirt', endedAt: wall },
      { ...result('web'), direction: 'outgoing', driver: 'qmp', endedAt: wall },
    ]
    assert.deepEqual(history.list(), expected)
    assert.deepEqual((await opened(path)).list(), expected)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(path, '..')), ['host-a.history'])
  })

  it('remembers the last 200', async () => {
    const first = await opened(path)
    await first.add(result('0'), { direction: 'outgoing' })
    const [record] = first.list()
    const lines = Array.from({ length: 250 }, (_, index) => JSON.stringify({ ...record, guest: String(index) }))
    await writeFile(path, lines.join('\n'))
    const history = await opened(path)
    assert.deepEqual([history.list().length, history.list()[0]?.guest, history.list()[199]?.guest], [200, '249', '50'])
    await history.add(result('new'), { direction: 'outgoing' })
    assert.deepEqual([history.list().length, history.list()[0]?.guest, history.list()[199]?.guest], [200, 'new', '51'])
    assert.equal((await readFile(path, 'utf8')).trimEnd().split('\n').length, 200)
  })

  it('leaves out damaged lines, says so, and mends the file with the next handoff', async () => {
    const history = await opened(path)
    for (const guest of ['a', 'b']) await history.add(result(guest), { direction: 'outgoing' })
    const [a = '', b = ''] = (await readFile(path, 'utf8')).trimEnd().split('\n')
    const untimed = a.replace('"totalMs":2100', '"totalMs":""')
    const damaged = ['{"guest":', '\0\0\0', 'null', '5', '[]', '{"guest":"c"}', untimed]
    await writeFile(path, [a, ...damaged, b, b.slice(0, 100)].join('\n'))
    const log = madeLog()
    const mended = await opened(path, log)
    assert.deepEqual(mended.list().map(({ guest }) => guest), ['b', 'a'])
    assert.equal(log.warnings.length, 1)
    await mended.add(result('c'), { direction: 'outgoing' })
    const again = madeLog()
    assert.deepEqual((await opened(path, again)).list().map(({ guest }) => guest), ['c', 'b', 'a'])
    assert.deepEqual(again.warnings, [])
  })

  it('goes on in memory, and says so, where it can neither read nor write', async () => {
    await mkdir(path, { recursive: true })
    const log = madeLog()
    const history = await opened(path, log)
    await history.add(result('web'), { direction: 'outgoing' })
    assert.deepEqual(history.list().map(({ guest }) => guest), ['web'])
    assert.equal(log.warnings.length, 2)
  })

  it('takes no notice of what a crash left half written', async () => {
    const history = await opened(path)
    await history.add(result('a'), { direction: 'outgoing' })
    await writeFile(`${path}.new`, '{"guest"')
    const next = await opened(path)
    await next.add(result('b'), { direction: 'outgoing' })
    assert.deepEqual((await opened(path)).list().map(({ guest }) => guest), ['b', 'a'])
    assert.deepEqual(await readdir(join(path, '..')), ['host-a.history'])
  })
})
