import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { requireAccepted } from '../../src/transfer/index.ts'
import { HELD, PAGES, progressOf, recordOf, resultOf, STATUS } from '../support/fakeagent.ts'
import { COMMAND_MS_MAX, pagemesh, type Finished } from '../support/pagemesh.ts'
import { serveAgent } from '../unit/cli/servedagent.ts'

/** Erases a command's output and prints a false success, in all ways that terminals have. */
const FORGERY = 'no\r\u001B[2K\u001B[1A\u009B2K\u202E\u2028\nweb-1 is on host-b now, running\u200B\u007F'
const FORGED_LINE = /^\s*web-1 is on host-b now/m
const FOREIGN = /[\p{Cc}\p{Cf}\u2028\u2029]/u

/** Text from outside must be visible, and on the line where the command printed it. */
function assertHarmless({ stdout, stderr }: Finished): void {
  for (const text of [stdout, stderr]) {
    assert.doesNotMatch(text.replaceAll('\n', ''), FOREIGN)
    assert.doesNotMatch(text, FORGED_LINE)
  }
  assert.match(stdout + stderr, /\\u001b\[2K/)
}

/** Text from hosts, QEMUs and guests goes to the operator's terminal; none may look like the command's own. */
describe('text from outside', function () {
  this.timeout(2 * COMMAND_MS_MAX)
  const served = serveAgent()

  /** Ends every handoff with the error of a refusal in these bytes. */
  const refuseWith = (answer: object): void => {
    served.agent.onMigrate = ({ outcome }) => {
      try {
        requireAccepted(Buffer.from(JSON.stringify(answer)), 'host-b')
      } catch (error) {
        outcome.reject(error)
      }
    }
  }

  it('cannot turn a refusal of another host into a success', async () => {
    refuseWith({ accepted: false, code: 'busy', message: FORGERY, advice: FORGERY })
    const refused = await served.run('migrate', 'web-1', '--to', 'host-b').finished
    assert.equal(refused.status, 1)
    assert.equal(refused.stdout, '')
    assertHarmless(refused)
    const told = await served.run('migrate', 'web-1', '--to', 'host-b', '--json').finished
    assertHarmless(told)
    const { status, code, reason } = JSON.parse(told.stdout) as Record<string, string>
    assert.deepEqual([status, code], ['failed', 'busy'])
    assert.ok(reason!.includes(FORGERY))
  })

  it('cannot do so as the code of a refusal, or at any length', async () => {
    for (const hostile of [{ code: FORGERY, message: 'm' }, { code: 'c', message: FORGERY.repeat(1_000) }]) {
      refuseWith({ accepted: false, ...hostile })
      const { status, stdout, stderr } = await served.run('migrate', 'web-1', '--to', 'host-b').finished
      assert.deepEqual([status, stdout], [1, ''])
      assert.match(stderr, /The other agent's message cannot be read: a refusal without a reason/)
      assert.ok(stderr.length < 2_000)
    }
  })

  it('cannot do so as the reason or the progress of a handoff that failed', async () => {
    served.agent.onMigrate = ({ request, outcome }) => outcome.resolve(resultOf(request, 'failed', FORGERY))
    const failed = await served.run('migrate', 'web-1', '--to', 'host-b').finished
    assert.equal(failed.status, 1)
    assertHarmless(failed)
    served.agent.records = [recordOf(resultOf({ guest: FORGERY, to: FORGERY }, 'failed', FORGERY), { from: FORGERY })]
    assertHarmless(await served.run('history').finished)
  })

  it('cannot change what `status` and `pages` show', async () => {
    const guest = { ...STATUS.guests[0]!, name: FORGERY }
    const handoff = {
      ...progressOf({ guest: FORGERY, to: FORGERY }), direction: 'outgoing' as const, driver: 'qmp' as const,
    }
    const held = [{ ...HELD, guest: FORGERY, why: FORGERY, otherCopy: FORGERY }]
    const peers = [{ host: FORGERY, peerId: FORGERY, address: FORGERY }]
    served.agent.status = () => ({ ...STATUS, guests: [guest], peers, held, handoffs: [handoff] })
    assertHarmless(await served.run('status').finished)
    assertHarmless(await served.run('status', '--json').finished)
    served.agent.popularPages = [{ ...PAGES[0]!, holders: [FORGERY] }]
    assertHarmless(await served.run('pages').finished)
  })

  it('cannot change what `check` shows, as the name of a socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'names-'))
    const guest = createServer().listen(join(folder, 'no\r\u001B[2K\n web-1 is on host-b now.qmp'))
    try {
      const key = join(folder, 'cluster.key')
      assert.equal((await pagemesh('keygen', key)).status, 0)
      const file = join(folder, 'agent.yaml')
      await writeFile(file, [
        'name: host-a', `clusterKey: ${key}`, 'listen: [/ip4/127.0.0.1/tcp/0]', 'lane: 127.0.0.1:0',
        `guests: [${folder}/*.qmp]`, `control: ${folder}/control.sock`, `store: {path: ${folder}}`,
      ].join('\n'))
      const checked = await pagemesh('check', '--config', file)
      assert.equal(checked.status, 0, checked.stderr)
      assertHarmless(checked)
    } finally {
      guest.close()
      await rm(folder, { recursive: true })
    }
  })
})
