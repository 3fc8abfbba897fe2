import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { HELD } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX, type Finished } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))
const KNOWN = `db-1 from host-c has been held here for 5 min: ${HELD.why}\n` +
  `The other copy, on host-c: ${HELD.otherCopy}\n`

describe('pagemesh settle', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  const settle = (...flags: string[]): Promise<Finished> => served.run('settle', 'db-1', ...flags).finished

  /** On a terminal, where everything comes out together; `answer` is typed when the question is there. */
  async function settleOnTerminal(answer: string, ...flags: string[]): Promise<{ status: number; shown: string }> {
    const words = [process.execPath, MAIN, 'settle', 'db-1', '--control', served.path, ...flags]
    const terminal = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null'])
    let shown = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text
      if (text.includes('[y/N]')) terminal.stdin.write(answer)
    })
    const [status] = await once(terminal, 'close') as [number]
    return { status, shown: shown.replaceAll('\r\n', '\n') }
  }

  it('--run says what is known of the other copy, then lets the guest go on', async () => {
    assert.deepEqual(await settle('--run'), {
      status: 0, stdout: 'Settled: db-1 is here now, running.\n', stderr: KNOWN,
    })
    assert.deepEqual(served.agent.calls, ['settle db-1 run'])
  })

  it('--run says of a guest that it does not run, as at the source', async () => {
    served.agent.settledState = 'paused'
    const { status, stdout } = await settle('--run')
    assert.deepEqual([status, stdout], [0, 'Settled: db-1 is here now, paused, as it was at the source.\n'])
  })

  it('--end ends the copy, and --json has what is known as a field', async () => {
    const { status, stdout, stderr } = await settle('--end', '--json')
    assert.deepEqual([status, stderr], [0, KNOWN])
    const outcome = { guest: 'db-1', decision: 'end', state: 'ended', otherCopy: HELD.otherCopy }
    assert.deepEqual(JSON.parse(stdout), outcome)
  })

  it('of a guest that is not held here exits 1 and decides nothing', async () => {
    served.agent.heldGuests = []
    const { status, stdout, stderr } = await settle('--run', '--json')
    assert.equal(status, 1)
    assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'not-held')
    assert.equal(stderr, 'pagemesh: No guest named db-1 is held here. Look at status.\n')
    assert.deepEqual(served.agent.calls, [])
  })

  it('of a guest that its QEMU does not let run exits 1', async () => {
    served.agent.settledState = undefined
    const { status, stdout, stderr } = await settle('--run')
    assert.deepEqual([status, stdout], [1, ''])
    assert.equal(stderr, `${KNOWN}pagemesh: The QEMU of db-1 refuses. Look at its disks.\n`)
  })

  it('lets no name or reason change the terminal', async () => {
    served.agent.heldGuests = [{ ...HELD, why: 'It \u001B]0;gone\u0007.', otherCopy: '\u202Enwod' }]
    const { stderr } = await settle('--run')
    assert.match(stderr, /It \\u001b\]0;gone\\u0007\..*\\u202enwod/s)
    assert.doesNotMatch(stderr.replaceAll('\n', ''), /\p{Cc}/u)
  })

  it('asks on a terminal, and decides at a yes', async () => {
    const { status, shown } = await settleOnTerminal('yes\n', '--run')
    assert.equal(status, 0, shown)
    assert.ok(shown.startsWith(`${KNOWN}Is it certain that db-1 never runs on host-c again? Let it go on here? [y/N] `))
    assert.match(shown, /Settled: db-1 is here now, running\.\n$/)
  })

  const refusals = { 'a no': 'n\n', 'anything else': 'why?\n', 'the end of input': '\u0004' }
  for (const [what, answer] of Object.entries(refusals)) {
    it(`asks on a terminal, and decides nothing at ${what}`, async () => {
      const { status, shown } = await settleOnTerminal(answer, '--end')
      assert.equal(status, 130, shown)
      assert.match(shown, /Is it certain that db-1 is safe on host-c\? End the copy here\? \[y\/N\] /)
      assert.match(shown, /pagemesh: Nothing was decided: db-1 is still held here\.\n$/)
      assert.deepEqual(served.agent.calls, [])
    })
  }

  it('asks nothing on a terminal with --yes', async () => {
    const { status, shown } = await settleOnTerminal('', '--end', '--yes')
    assert.deepEqual([status, shown], [0, `${KNOWN}Settled: the copy of db-1 here has ended.\n`])
  })
})
