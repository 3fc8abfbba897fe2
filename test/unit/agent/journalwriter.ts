/** Writes a record of a journal, and dies when all of it is on the disk but not yet in its place. */
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

import { createJournal } from '../../../src/agent/journal.ts'
import { silentLog } from '../../../src/runtime/log.ts'

const [directory = '', id = '', record = ''] = process.argv.slice(2)
promises.rename = () => {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}
syncBuiltinESMExports()
await createJournal({ log: silentLog }, { directory }).write(id, JSON.parse(record) as object)
