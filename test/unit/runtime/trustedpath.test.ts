import assert from 'node:assert/strict'
import { chmod, chown, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { listenAt } from '../../../src/daemon/control/socketfile.ts'
import { keepIdentity } from '../../../src/mesh/identity.ts'
import { readClusterKey, writeClusterKey } from '../../../src/mesh/index.ts'
import { flawOf, requireTrustedPath } from '../../../src/runtime/trustedpath.ts'

const OTHER_UID = 65_534

describe('a path that others could replace', () => {
  let folder = ''
  let own = ''

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'pm-trusted-')))
    own = join(folder, 'own')
    await mkdir(own, { mode: 0o755 })
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('is one that another owns, or that more than its owner may write to', () => {
    const step = { path: '/x', uid: 1000, mode: 0o40755, isLink: false }
    assert.equal(flawOf(step, 1000), undefined)
    assert.equal(flawOf({ ...step, uid: 0 }, 1000), undefined)
    assert.equal(flawOf({ ...step, uid: 1001 }, 1000), 'owner')
    assert.equal(flawOf(step, 0), 'owner')
    for (const mode of [0o40775, 0o40757, 0o40777]) assert.equal(flawOf({ ...step, mode }, 1000), 'mode')
    assert.equal(flawOf({ ...step, mode: 0o41777 }, 1000), 'mode', 'sticky, and not root\'s')
    assert.equal(flawOf({ ...step, uid: 0, mode: 0o41777 }, 1000), undefined)
    assert.equal(flawOf({ ...step, mode: 0o120777, isLink: true }, 1000), undefined)
    assert.equal(flawOf({ ...step, uid: 1001, mode: 0o120777, isLink: true }, 1000), 'owner')
  })

  it('is refused at any step of the way, links and what they lead to among them', async () => {
    await requireTrustedPath(own, 'it')
    const open = join(folder, 'open')
    await mkdir(join(open, 'inner'), { recursive: true })
    await chmod(open, 0o777)
    const path = join(folder, 'link')
    await symlink('open/inner', path)
    for (const tried of [open, join(open, 'inner'), path]) {
      await assert.rejects(requireTrustedPath(tried, 'it'), {
        code: 'path-exposed', data: { path: open }, message: /^Others could replace it: .*\/open may be written to by/,
        advice: new RegExp(`^Run \`chmod go-w ${open}\``),
      })
    }
    await assert.rejects(requireTrustedPath(join(own, 'nothing'), 'it'), { code: 'ENOENT' })
    await symlink('round', join(own, 'round'))
    await assert.rejects(requireTrustedPath(join(own, 'round'), 'it'), /too many links/)
  })

  it('is refused where another user owns a step of the way', async function () {
    if (process.getuid?.() !== 0) this.skip()
    await chown(own, OTHER_UID, OTHER_UID)
    await mkdir(join(own, 'inner'))
    await assert.rejects(requireTrustedPath(join(own, 'inner'), 'it'), { code: 'path-exposed', data: { path: own } })
  })

  it('holds no key, no identity and no control socket', async () => {
    const key = join(own, 'cluster.key')
    await writeClusterKey(key)
    await readClusterKey(key)
    await keepIdentity(join(own, 'identity'), async () => new Uint8Array(8))
    await chmod(own, 0o775)
    await assert.rejects(readClusterKey(key), { code: 'path-exposed', fault: 'usage', message: /the cluster key/ })
    for (const name of ['identity', 'new']) {
      await assert.rejects(keepIdentity(join(own, name), async () => new Uint8Array(8)),
        { code: 'path-exposed', message: /the identity of this host/ })
    }
    const server = createServer()
    await assert.rejects(listenAt(server, join(own, 'control.sock')), {
      code: 'path-exposed', message: /control socket/,
    })
    assert.ok(!server.listening)
    await chmod(own, 0o755)
    await writeFile(join(own, 'identity'), new Uint8Array(8))
    await chmod(join(own, 'identity'), 0o666)
    await assert.rejects(keepIdentity(join(own, 'identity'), async () => new Uint8Array(8)), { code: 'path-exposed' })
  })
})
