import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { createJournal, JOURNAL_LIMITS } from '../../../src/agent/journal.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { madeDirectory } from '../../support/madestore.ts'

const WRITER = fileURLToPath(new URL('journalwriter.ts', import.meta.url))

describe('the journal of handoffs', () => {
  const parent = madeDirectory()
  let directory = ''
  let errors: string[] = []
  let count = 0
  const log: Log = { ...silentLog, error: (message) => { errors.push(message) } }
  const journal = (): ReturnType<typeof createJournal> => createJournal({ log }, { directory })

  beforeEach(() => {
    directory = join(parent, `of-${count++}`, 'host-a.handoffs')
    errors = []
  })

  it('is empty before anything is written, and reading makes nothing', async () => {
    assert.deepEqual(await journal().all(), [])
    await journal().remove('ab')
    await assert.rejects(stat(directory), { code: 'ENOENT' })
  })

  it('gives back what was written last, for its owner alone', async () => {
    const written = journal()
    await Promise.all([written.write('b2', { a: 1 }), written.write('a1', { b: [2] }), written.write('b2', { a: 3 })])
    assert.deepEqual(await written.all(), [{ id: 'a1', record: { b: [2] } }, { id: 'b2', record: { a: 3 } }])
    assert.deepEqual(await journal().all(), await written.all())
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    for (const name of await readdir(directory)) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600)
  })

  it('closes a directory that was open to others', async () => {
    await mkdir(directory, { recursive: true })
    await chmod(directory, 0o755)
    await journal().write('a1', {})
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
  })

  it('forgets what is removed, in the order that was asked for', async () => {
    const used = journal()
    const asked = [used.write('a1', {}), used.remove('a1'), used.write('b2', {}), used.remove('b2')]
    await Promise.all([...asked, used.write('b2', { again: true })])
    assert.deepEqual(await used.all(), [{ id: 'b2', record: { again: true } }])
    await used.remove('a1')
  })

  for (const id of ['', '.', '..', '../a', 'a/b', 'A1', 'g1', 'a1.json', 'a1\0', '0'.repeat(65)]) {
    it(`refuses the id ${JSON.stringify(id)}`, async () => {
      await assert.rejects(journal().write(id, {}), { code: 'bad-record' })
      await assert.rejects(journal().remove(id), { code: 'bad-record' })
    })
  }

  it('refuses a record that is too long, and what was there stays', async () => {
    await journal().write('a1', { fits: true })
    const text = 'x'.repeat(JOURNAL_LIMITS.recordBytesMax)
    await assert.rejects(journal().write('a1', { text }), { code: 'bad-record' })
    assert.deepEqual(await journal().all(), [{ id: 'a1', record: { fits: true } }])
  })

  it('refuses one more than the limit, and takes those that are there again', async () => {
    await journal().write('0', {})
    for (let id = 1; id < JOURNAL_LIMITS.recordsMax; id++) {
      await writeFile(join(directory, `${id.toString(16)}.json`), '{}')
    }
    await assert.rejects(journal().write('ffff', {}), { code: 'journal-full', advice: /settle them first/ })
    await journal().write('3e7', { again: true })
    assert.equal((await journal().all()).length, JOURNAL_LIMITS.recordsMax)
    await journal().remove('0')
    await journal().write('ffff', {})
  })

  it('sets damaged files aside and says so; the others count', async () => {
    await journal().write('a1', { whole: true })
    const tooLong = 'x'.repeat(JOURNAL_LIMITS.recordBytesMax + 1)
    const damaged = { b1: '', b2: '{"half":', b3: '\0\0', b4: 'null', b5: '5', b6: tooLong }
    for (const [id, text] of Object.entries(damaged)) await writeFile(join(directory, `${id}.json`), text)
    await symlink('/etc/hostname', join(directory, 'b7.json'))
    await writeFile(join(directory, 'notes.txt'), 'of somebody')
    assert.deepEqual(await journal().all(), [{ id: 'a1', record: { whole: true } }])
    assert.deepEqual(errors, Array(7).fill('a damaged record of a handoff was set aside'))
    assert.equal(await readFile(join(directory, 'b2.json.damaged'), 'utf8'), damaged.b2)
    errors = []
    assert.deepEqual(await journal().all(), [{ id: 'a1', record: { whole: true } }])
    assert.deepEqual(errors, [])
  })

  it('has the record as it was when its writer dies before the new one is in place', async () => {
    await journal().write('a1', { version: 1 })
    const writer = spawn(process.execPath, [WRITER, directory, 'a1', '{"version":2}'], { stdio: 'inherit' })
    assert.deepEqual(await once(writer, 'exit'), [null, 'SIGKILL'])
    assert.deepEqual((await readdir(directory)).sort(), ['a1.json', 'a1.json.new'])
    assert.deepEqual(await journal().all(), [{ id: 'a1', record: { version: 1 } }])
    assert.deepEqual(await readdir(directory), ['a1.json'])
    assert.deepEqual(errors, [])
    await journal().write('a1', { version: 3 })
    assert.deepEqual(await journal().all(), [{ id: 'a1', record: { version: 3 } }])
  })

  it('says that it cannot be used where no directory can be made', async () => {
    await mkdir(join(directory, '..'), { recursive: true })
    await writeFile(directory, '')
    await assert.rejects(journal().write('a1', {}), { code: 'journal-unwritable', message: /EEXIST|ENOTDIR/ })
    await assert.rejects(journal().all(), { code: 'journal-unreadable', message: /ENOTDIR/ })
  })
})
