import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { slowestFiles } from './slowest.ts'

const ROOT = join(import.meta.dirname, '..')
const MOCHA = join(ROOT, 'node_modules', '.bin', 'mocha')
/** Mocha's flags for tests that share a process, and for tests in several. */
const WAYS = { serial: [], parallel: ['--parallel', '--jobs', '2', '--require', './test/lingering.ts'] }
const SLOW = `
describe('a slow file', () => {
  before(() => new Promise((resolve) => setTimeout(resolve, 600)))
  it('takes long', () => new Promise((resolve) => setTimeout(resolve, 600)))
  it('fails', () => { throw new Error('as it should') })
})
`
const FORGETFUL = `
import { createServer } from 'node:net'
describe('a forgetful file', () => {
  it('listens', (done) => { createServer().listen(0, '127.0.0.1', done) })
})
`
const CONNECTED = `
import { connect, createServer } from 'node:net'
describe('a file that hangs on', () => {
  it('is connected', (done) => {
    const server = createServer((socket) => { server.close(); socket.resume(); done() })
    server.listen(0, '127.0.0.1', () => { connect(server.address().port, '127.0.0.1') })
  })
})
`

describe('the end of a run of tests', function () {
  this.timeout(120_000)
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-reporter-'))
    await writeFile(join(folder, 'slow.test.mjs'), SLOW)
    await writeFile(join(folder, 'forgetful.test.mjs'), FORGETFUL)
    await writeFile(join(folder, 'connected.test.mjs'), CONNECTED)
  })

  after(() => rm(folder, { recursive: true }))

  async function run(words: readonly string[], ...names: string[]): Promise<{ lines: string[]; errors: string }> {
    const files = names.map((name) => join(folder, name))
    const command = promisify(execFile)(MOCHA, [...words, '--reporter', './test/reporter.ts', ...files], {
      cwd: ROOT, env: { ...process.env, PAGEMESH_CLOSING_MS: '300' },
    })
    const { stdout, stderr, code } = await command.catch((error: unknown) => error) as
      { stdout: string; stderr: string; code: number }
    assert.notEqual(code ?? 0, 0, 'one of these tests fails')
    return { lines: stdout.trimEnd().split('\n'), errors: stderr }
  }

  for (const [way, words] of Object.entries(WAYS)) {
    it(`names the slow files, with their hooks, and counts the tests: ${way}`, async () => {
      const { lines } = await run(words, 'slow.test.mjs')
      assert.match(lines.at(-2)!, /^ +1\.[2-9] s in .*slow\.test\.mjs$/)
      assert.equal(lines.at(-1), '1 passed, 1 failed, 0 skipped')
    })

    it(`says what was left open, and fails: ${way}`, async () => {
      for (const [name, kind] of [['forgetful', 'TCPServerWrap'], ['connected', 'Socket']] as const) {
        const { lines, errors } = await run(words, `${name}.test.mjs`)
        const said = [...lines, errors].join('\n')
        assert.match(said, new RegExp(`The tests ended, but .*${kind}`))
        if (way === 'parallel') assert.match(said, new RegExp(`but .*${name}\\.test\\.mjs leaves`))
      }
    })
  }

  it('shows the slowest first, no more than are asked for, and none that is fast', () => {
    const spent = new Map([['/a/x.ts', 999], ['/a/b/y.ts', 1000], ['/a/z.ts', 61_230], ['/a/w.ts', 2000]])
    assert.deepEqual(slowestFiles(spent, 2, '/a'), ['   61.2 s in z.ts', '    2.0 s in w.ts'])
    assert.deepEqual(slowestFiles(spent, 9, '/a').at(-1), '    1.0 s in b/y.ts')
  })
})
