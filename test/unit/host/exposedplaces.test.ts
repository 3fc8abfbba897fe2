import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { listenForCommands } from '../../../src/daemon/control/socketfile.ts'
import { readClusterKey, writeClusterKey } from '../../../src/mesh/index.ts'
import { keepIdentity } from '../../../src/mesh/libp2p/identity.ts'

describe('a place that others could replace', () => {
  let folder = ''
  let own = ''

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'pm-exposed-')))
    own = join(folder, 'own')
    await mkdir(own, { mode: 0o755 })
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('holds no key, no identity and no control socket', async () => {
    const key = join(own, 'cluster.key')
    await writeClusterKey(key)
    await readClusterKey(key)
    await keepIdentity(join(own, 'identity'), async () => new Uint8Array(8))
    await chmod(own, 0o777)
    await assert.rejects(readClusterKey(key), { code: 'directory-exposed', fault: 'usage', message: /the cluster key/ })
    for (const name of ['identity', 'new']) {
      await assert.rejects(keepIdentity(join(own, name), async () => new Uint8Array(8)),
        { code: 'directory-exposed', message: /the identity of this host/ })
    }
    const server = createServer()
    await assert.rejects(listenForCommands(server, join(own, 'control.sock')), {
      code: 'directory-exposed', message: /control socket/,
    })
    assert.ok(!server.listening)
    await chmod(own, 0o755)
    await writeFile(join(own, 'identity'), new Uint8Array(8))
    await chmod(join(own, 'identity'), 0o666)
    await assert.rejects(keepIdentity(join(own, 'identity'), async () => new Uint8Array(8)), {
      code: 'directory-exposed',
    })
  })
})
