/** The agent's own files, as whoever damaged them, or a disk, left them. Each input is written and read as a file. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAudit } from '../../../src/agent/audit.ts'
import { createHistory } from '../../../src/agent/history.ts'
import { createJournal } from '../../../src/agent/journal.ts'
import { StartFile } from '../../../src/agent/startfile.ts'
import { clusterKeyText, readClusterKey } from '../../../src/mesh/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { resultOf } from '../../support/fakeagent.ts'
import type { Target } from '../target.ts'

const components = { clock: systemClock, log: silentLog }
const RECORD = {
  ...resultOf({ guest: 'web', to: 'host-b' }, 'completed'), direction: 'outgoing', driver: 'qmp',
  endedAt: '2026-01-02T03:04:05.000Z',
}
/** Files are slow. */
const SHARE = 0.05

let folder: string | undefined

/** A file with this content, in a directory that is removed when the process ends. */
function fileWith(name: string, bytes: Uint8Array): string {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), 'pagemesh-fuzz-'))
    mkdirSync(join(folder, 'journal'), { mode: 0o700 })
    const made = folder
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
  }
  const path = join(folder, name)
  writeFileSync(path, bytes, { mode: 0o600 })
  return path
}

export const FILE_TARGETS: readonly Target[] = [
  {
    name: 'history-file', share: SHARE, room: 2 ** 20,
    seeds: [`${JSON.stringify(RECORD)}\n`, `${JSON.stringify(RECORD)}\n`.repeat(3)],
    async decode(input) {
      const history = createHistory(components, { path: fileWith('history', input) })
      await history.start()
      const list = history.list()
      assert.ok(list.length <= 200 && list.every(({ guest }) => typeof guest === 'string'))
      return list.length === 0 ? undefined : list
    },
  },
  {
    name: 'audit-file', share: SHARE, room: 2 ** 20,
    seeds: ['{"at":"2026-01-02T03:04:05.000Z","event":"moved","guest":"web"}\n'],
    async decode(input) {
      const list = await createAudit(components, { path: fileWith('audit', input) }).last(100)
      assert.ok(list.length <= 100)
      return list.length === 0 ? undefined : list
    },
  },
  {
    name: 'journal-file', seeds: ['{"role":"outgoing","as":"held"}\n'], share: SHARE, room: 2 ** 20,
    async decode(input) {
      const path = fileWith(join('journal', 'ab.json'), input)
      const records = await createJournal(components, { directory: join(path, '..') }).all()
      assert.ok(records.length <= 1)
      return records[0]?.record
    },
  },
  {
    name: 'start-file', seeds: ['1700000000\n', '4294967294\n'], bytesMax: 64, share: SHARE,
    async decode(input) {
      const { startedAt } = await StartFile.read(components, fileWith('started', input))
      assert.ok(Number.isInteger(startedAt) && startedAt > 1_600_000_000 && startedAt < 2 ** 32)
      return startedAt
    },
  },
  {
    name: 'key-file', refusals: ['key-malformed'], bytesMax: 4096, share: SHARE,
    seeds: [clusterKeyText(new Uint8Array(32).fill(4))],
    async decode(input) {
      const key = await readClusterKey(fileWith('cluster.key', input))
      assert.equal(key.length, 32)
      return key
    },
  },
]
