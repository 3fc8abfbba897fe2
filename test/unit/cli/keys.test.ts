import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { clusterKeyText, type KeysReport } from '../../../src/index.ts'
import { COMMAND_MS_MAX } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const [OLD_ID, NEW_ID] = ['00112233445566aa', '0123456789abcdef']
const KEY = new Uint8Array(32).fill(5)

const DONE: KeysReport = {
  key: NEW_ID, absent: [], complete: true,
  hosts: [
    { host: 'host-a', used: OLD_ID, accepts: [OLD_ID, NEW_ID], why: null },
    { host: 'host-b', used: OLD_ID, accepts: [OLD_ID, NEW_ID], why: null },
  ],
}

describe('pagemesh keys', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()
  let folder: string
  let file: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-keys-'))
    file = join(folder, 'new.key')
    await writeFile(file, clusterKeyText(KEY), { mode: 0o600 })
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('shows what each host has and uses', async () => {
    served.agent.keysReport = { ...DONE, key: null, absent: ['host-d'] }
    const { status, stdout, stderr } = await served.run('keys').finished
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout, `
HOST    USES              ACCEPTS
host-a  00112233445566aa  00112233445566aa 0123456789abcdef
host-b  00112233445566aa  00112233445566aa 0123456789abcdef
host-d  -                 not here
`.trimStart())
    assert.deepEqual(served.agent.rotations, [{ action: 'list' }])
  })

  it('asks for each step, with the key itself only where it is installed', async () => {
    served.agent.keysReport = DONE
    for (const args of [
      ['install', file], ['install', file, '--here'], ['use', NEW_ID], ['remove', OLD_ID, '--without', 'host-d,host-e'],
    ]) {
      const { status, stdout, stderr } = await served.run('keys', ...args).finished
      assert.deepEqual([status, stderr], [0, ''], args.join(' '))
      assert.ok(!stdout.includes(Buffer.from(KEY).toString('base64url')))
    }
    const key = Buffer.from(KEY)
    assert.deepEqual(served.agent.rotations, [
      { action: 'install', key }, { action: 'install', key, here: true }, { action: 'use', id: NEW_ID },
      { action: 'remove', id: OLD_ID, without: ['host-d', 'host-e'] },
    ])
  })

  it('exits 1 unless every member has done it, with --json as one object, and says who has not', async () => {
    served.agent.keysReport = {
      ...DONE, complete: false, absent: ['host-d'],
      hosts: [DONE.hosts[0]!, { host: 'host-b', used: null, accepts: [], why: 'It is \u001b[2Jread-only.' }],
    }
    const json = await served.run('keys', 'use', NEW_ID, '--json').finished
    assert.equal(json.status, 1)
    assert.deepEqual(JSON.parse(json.stdout), served.agent.keysReport)
    const { status, stdout, stderr } = await served.run('keys', 'use', NEW_ID).finished
    assert.equal(status, 1)
    assert.match(stdout, /host-b {2}- {17}It is \\u001b\[2Jread-only\./)
    assert.match(stderr, /^pagemesh: host-b did not do it, see above\. Mend that and run this again/)
    served.agent.keysReport = { ...DONE, complete: false, absent: ['host-d'] }
    assert.match((await served.run('keys', 'use', NEW_ID).finished).stderr, /host-d cannot be reached/)
  })

  it('asks nothing with a file that holds no key, or that others may read', async () => {
    await chmod(file, 0o644)
    const exposed = await served.run('keys', 'install', file).finished
    assert.equal(exposed.status, 1)
    assert.match(exposed.stderr, /may read or write the cluster key .*chmod 600/)
    await writeFile(file, 'no key')
    await chmod(file, 0o600)
    assert.match((await served.run('keys', 'install', file).finished).stderr, /holds no cluster key/)
    assert.equal((await served.run('keys', 'use').finished).status, 2)
    assert.equal((await served.run('keys', 'use', 'short').finished).status, 1)
    assert.deepEqual(served.agent.rotations, [])
  })
})
