import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

import { createLog, silentLog } from '../../../src/runtime/log.ts'

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
