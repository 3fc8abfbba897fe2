import assert from 'node:assert/strict'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createHistory } from '../../../src/agent/history.ts'
import { createJournal } from '../../../src/agent/journal.ts'
import { resultOf } from '../../support/fakeagent.ts'
import { madeClock, madeLog } from '../../support/madestore.ts'
import { smallDisk } from '../../support/smalldisk.ts'

const DISK_BYTES = 2 ** 18

describe('what an agent remembers of handoffs on a full disk', () => {
  const disk = smallDisk(DISK_BYTES)
  const ballast = join(disk, 'ballast')
  const clock = madeClock()

  /** Leaves not one block. */
  function fill(): void {
    for (let part = 0; ; part++) {
      try {
        writeFileSync(`${ballast}${part}`, Buffer.alloc(4096))
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
        return
      }
    }
  }

  function free(): void {
    for (const name of readdirSync(disk).filter((each) => each.startsWith('ballast'))) rmSync(join(disk, name))
  }

  it('the journal refuses, keeps the record as it was, and takes it again when there is room', async () => {
    const directory = join(disk, 'host-a.handoffs')
    const journal = createJournal({ log: madeLog() }, { directory })
    await journal.write('a1', { version: 1 })
    fill()
    for (const id of ['a1', 'b2']) {
      await assert.rejects(journal.write(id, { version: 2 }), { code: 'journal-unwritable', message: /ENOSPC/ })
    }
    assert.deepEqual(await journal.all(), [{ id: 'a1', record: { version: 1 } }])
    assert.deepEqual(readdirSync(directory), ['a1.json'])
    await journal.remove('a1')
    free()
    await journal.write('b2', { version: 3 })
    assert.deepEqual(await journal.all(), [{ id: 'b2', record: { version: 3 } }])
  })

  it('the history says so, goes on in memory, and writes all of it when there is room', async () => {
    const path = join(disk, 'host-a.history')
    const log = madeLog()
    const opened = async (): Promise<ReturnType<typeof createHistory>> => {
      const history = createHistory({ clock, log }, { path })
      await history.start()
      return history
    }
    const history = await opened()
    const add = async (guest: string): Promise<void> =>
      await history.add(resultOf({ guest, to: 'host-b' }, 'completed'), { direction: 'outgoing' })
    await add('first')
    fill()
    await add('second')
    assert.deepEqual(log.warnings, ['the history of handoffs could not be written'])
    assert.deepEqual(history.list().map(({ guest }) => guest), ['second', 'first'])
    assert.deepEqual((await opened()).list().map(({ guest }) => guest), ['first'])
    free()
    await add('third')
    assert.deepEqual((await opened()).list().map(({ guest }) => guest), ['third', 'second', 'first'])
    assert.equal(log.warnings.length, 1)
  })
})
