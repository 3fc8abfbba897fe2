import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createLog, silentLog } from '../../../src/runtime/log.ts'
import { hungReader } from '../../support/hungreader.ts'

const LOG = JSON.stringify(new URL('../../../src/runtime/log.ts', import.meta.url))

/** What a program that has a `log` of this level writes to standard error, line by line. */
function linesOf(level: string, program: string): Record<string, unknown>[] {
  const script = `const { createLog } = await import(${LOG}); const log = createLog('${level}'); ${program}`
  const { stderr, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(stdout, '')
  return stderr.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('a log', () => {
  it('is a line of JSON a message on standard error, written before the process ends', () => {
    const lines = linesOf('debug', `
      log.debug('one', { page: 1 })
      log.info('two')
      log.with({ guest: 'web' }).warn('three', { page: 3 })
      log.error('four', { page: 4 })
      process.kill(process.pid, 'SIGKILL')`)
    assert.deepEqual(lines.map(({ level, msg, page, guest }) => [level, msg, page, guest]), [
      [20, 'one', 1, undefined], [30, 'two', undefined, undefined], [40, 'three', 3, 'web'],
      [50, 'four', 4, undefined],
    ])
    assert.ok(lines.every((line) => !('pid' in line) && !('hostname' in line)))
  })

  it('leaves out what is below its level', () => {
    const program = `log.debug('a'); log.info('b'); log.warn('c'); log.error('d')`
    assert.deepEqual(linesOf('warn', program).map(({ msg }) => msg), ['c', 'd'])
  })

  it('lets nothing that it is told change a terminal, and tells it exactly', () => {
    const hostile = 'a\u001B[2J\u007F\u009B1A\r\n\u202Eb\u2028'
    const script = `const { createLog } = await import(${LOG})
      createLog('info').with({ guest: ${JSON.stringify(hostile)} }).info('m', { reason: ${JSON.stringify(hostile)} })`
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    assert.match(stderr, /^[^\p{Cc}\p{Cf}\u2028]+\n$/u)
    const { guest, reason } = JSON.parse(stderr) as Record<string, string>
    assert.deepEqual([guest, reason], [hostile, hostile])
  })

  it('may say nothing at all', () => {
    const log = silentLog.with({ guest: 'web' })
    for (const say of [log.debug, log.info, log.warn, log.error]) say('nothing')
    assert.equal(log, silentLog)
    createLog('silent').error('nothing')
  })
})

describe('a log that nobody takes', () => {
  const folder = mkdtempSync('/tmp/pm-log-')

  after(() => rmSync(folder, { recursive: true }))

  /** Runs `program` with a `log`; the shell opens standard error. */
  function run(program: string, redirection: string): { status: number | null; stdout: string } {
    const file = join(folder, 'program.mjs')
    writeFileSync(file, `import { createLog } from ${LOG}\nconst log = createLog('info')\n${program}`)
    return spawnSync('bash', ['-c', `exec "$0" "$1" ${redirection}`, process.execPath, file], {
      encoding: 'utf8', timeout: 20_000,
    })
  }

  it('drops its lines on a full disk, and nothing else', () => {
    const program = 'for (let i = 0; i < 1000; i++) log.info("m", { i }); console.log("done")'
    const { status, stdout } = run(program, '2>/dev/full')
    assert.deepEqual([status, stdout], [0, 'done\n'])
  })

  it('drops its lines where standard error is closed, or its reader has gone', () => {
    const program = `for (let i = 0; i < 1000; i++) {
      log.info("m", { i })
      if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    console.log("done")`
    for (const redirection of ['2>&-', '2> >(exec true)']) {
      const { status, stdout } = run(program, redirection)
      assert.deepEqual([status, stdout], [0, 'done\n'])
    }
  })

  it('keeps a bounded number of bytes for a reader that hangs, and does not wait for it', () => {
    const program = `const text = 'x'.repeat(1000)
      for (let i = 0; i < 20_000; i++) log.info(text)
      console.log(process.stderr.writableLength)
      process.exit()`
    const reader = hungReader(join(folder, 'hung'), { isFull: false })
    const { status, stdout } = run(program, `2>${join(folder, 'hung')}`)
    reader.close()
    assert.equal(status, 0)
    assert.ok(Number(stdout) > 500_000 && Number(stdout) <= 1024 * 1024, stdout)
  })

  it('says how many lines it dropped once they are taken again', () => {
    const program = `const text = 'x'.repeat(1000)
      for (let i = 0; i < 5_000; i++) log.info(text)
      console.log('full')
      while (process.stderr.writableLength > 0) await new Promise((resolve) => setTimeout(resolve, 10))
      log.info('again')`
    const seen = join(folder, 'seen')
    run(program, `2> >(sleep 1; exec cat >${seen}) | cat`)
    const lines = readFileSync(seen, 'utf8').trim().split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const [dropped, last] = lines.slice(-2)
    assert.deepEqual([dropped!['level'], dropped!['msg']], [40, 'lines of this log were dropped'])
    assert.equal(last!['msg'], 'again')
    assert.equal(lines.length - 2 + Number(dropped!['lines']), 5_000)
  }).timeout(20_000)

  it('goes on in a new line after one that the disk could not take whole', function () {
    if (process.getuid?.() !== 0) this.skip()
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk])
    try {
      const program = `import { truncateSync } from 'node:fs'
        for (let i = 0; i < 200; i++) log.info('x'.repeat(1000))
        truncateSync('${disk}/log', 10_000)
        log.info('again')`
      assert.equal(run(program, `2>>${disk}/log`).status, 0)
      const lines = readFileSync(join(disk, 'log'), 'utf8').trim().split('\n')
      assert.match(lines.at(-2)!, /"lines":\d+,"msg":"lines of this log were dropped"/)
      assert.match(lines.at(-1)!, /"msg":"again"/)
    } finally {
      spawnSync('umount', [disk])
    }
  })
})
