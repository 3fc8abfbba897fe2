import { strict as assert } from 'node:assert'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { exposureOf, findExposure, isMapped, requireUnexposed } from '../../../src/host/exposure.ts'
import { ANOTHER_USER, asAnotherUser } from '../../support/anotheruser.ts'

const ROOT = { users: [0], trustsGroups: false }
const STEP = { path: '/run/pagemesh', isLink: false, uid: 0, gid: 0, mode: 0o40755 }

describe('a directory that others can change', () => {
  const cases: [string, Partial<typeof STEP>, RegExp | undefined][] = [
    ['root\'s, which only root writes', {}, undefined],
    ['another user\'s', { uid: 1000 }, /belongs to user 1000/],
    ['one that all may write', { mode: 0o40777 }, /every user may write/],
    ['one that all may write to, and remove only what is theirs', { mode: 0o41777 }, undefined],
    ['one that a group may write', { gid: 100, mode: 0o40775 }, /the group 100 may write/],
    ['one that a group may only read', { gid: 100, mode: 0o40755 }, undefined],
    ['one that a group may write, and removes only what is theirs', { gid: 100, mode: 0o41775 }, undefined],
    ['one that root\'s group may write', { mode: 0o40775 }, undefined],
    ['a link of root\'s', { isLink: true, mode: 0o120777 }, undefined],
    ['a link of another user\'s', { isLink: true, uid: 7, mode: 0o120777 }, /belongs to user 7/],
    ['a sticky one of another user\'s', { uid: 7, mode: 0o41777 }, /belongs to user 7/],
  ]
  for (const [what, step, expected] of cases) {
    it(`is told, with what mends it: ${what}`, () => {
      const exposure = exposureOf({ ...STEP, ...step }, ROOT)
      if (expected === undefined) assert.equal(exposure, undefined)
      else {
        assert.match(exposure!.why, expected)
        assert.match(exposure!.advice, /^Run `ch(mod|own) .* \/run\/pagemesh`\.$/)
      }
    })
  }

  it('is none where the users and groups are trusted, but for all others', () => {
    const step = { ...STEP, uid: 64055, gid: 64055, mode: 0o40770 }
    const trust = { users: [0, 64055], trustsGroups: true }
    assert.equal(exposureOf(step, trust), undefined)
    assert.match(exposureOf({ ...step, mode: 0o40777 }, trust)!.why, /every user/)
    assert.match(exposureOf({ ...step, uid: 5 }, trust)!.why, /user 5/)
  })

  it('knows users that have no number in this namespace', () => {
    assert.equal(isMapped('         0          0 4294967295\n', 65534), true)
    assert.equal(isMapped('         0       1000          1\n', 65534), false)
    assert.equal(isMapped('0 1000 1\n1 100000 65536\n', 65534), true)
    assert.equal(isMapped('0 0 65535\n', 65534), true, 'the last one')
    assert.equal(isMapped('0 0 65534\n', 65534), false)
    assert.equal(isMapped('65534 0 1\n', 65534), true, 'the first one')
    assert.equal(isMapped('65535 0 9\n', 65534), false)
    assert.equal(isMapped('', 0), false, 'a namespace that nobody has given users yet')
  })

  describe('on the way to a path', () => {
    const own = { users: [0, process.geteuid!()], trustsGroups: false }
    let top: string
    beforeEach(() => { top = mkdtempSync('/tmp/exposure-') })
    afterEach(() => rmSync(top, { recursive: true }))

    it('is found wherever it lies, also behind a link', async () => {
      mkdirSync(join(top, 'open/deep'), { recursive: true })
      symlinkSync(join(top, 'open/deep'), join(top, 'link'))
      assert.equal(await findExposure(join(top, 'link'), own), undefined)
      chmodSync(join(top, 'open'), 0o777)
      for (const path of ['open', 'open/deep', 'open/missing/further', 'link', 'link/further']) {
        assert.equal((await findExposure(join(top, path), own))?.path, join(top, 'open'), path)
      }
      await assert.rejects(requireUnexposed(join(top, 'link'), 'the key'), {
        code: 'directory-exposed', fault: 'usage', phase: 'start', advice: `Run \`chmod o-w ${join(top, 'open')}\`.`,
        message: /^Other users can change the key: every user/,
        data: { directory: join(top, 'link'), path: join(top, 'open') },
      })
      chmodSync(join(top, 'open'), 0o755)
      await requireUnexposed(join(top, 'link'), 'the key')
      assert.equal(await findExposure(join(top, 'open/missing/further'), own), undefined, 'nobody has made it yet')
    })

    it('is found behind a link that is told from where it lies, and by a path that is not in order', async () => {
      mkdirSync(join(top, 'open/deep'), { recursive: true })
      chmodSync(join(top, 'open/deep'), 0o777)
      mkdirSync(join(top, 'links'))
      symlinkSync('../open', join(top, 'links/relative'))
      for (const path of ['links/relative/deep', 'links//relative/./deep/', 'links/../open/deep/missing']) {
        assert.equal((await findExposure(`${top}/${path}`, own))?.path, join(top, 'open/deep'), path)
      }
      assert.equal(await findExposure(join(top, 'links/relative'), own), undefined)
      assert.equal(await findExposure('/', own), undefined)
    })

    it('is as many links as the kernel follows, and no more', async () => {
      mkdirSync(join(top, '0'))
      for (let link = 1; link <= 41; link++) symlinkSync(String(link - 1), join(top, String(link)))
      assert.equal(await findExposure(join(top, '40'), own), undefined)
      assert.deepEqual(await findExposure(join(top, '41'), own), {
        path: join(top, '1'), why: `${join(top, '1')} is in a loop of links`, advice: 'Remove that link.',
      })
    })

    it('is none behind a file, which nobody can enter; a path that cannot be is told', async () => {
      writeFileSync(join(top, 'file'), '')
      assert.equal(await findExposure(join(top, 'file/further'), own), undefined)
      await assert.rejects(findExposure(join(top, 'x'.repeat(300)), own), { code: 'ENAMETOOLONG' })
    })

    it('is a loop of links', async () => {
      symlinkSync(join(top, 'b'), join(top, 'a'))
      symlinkSync(join(top, 'a'), join(top, 'b'))
      assert.match((await findExposure(join(top, 'a'), own))!.why, /in a loop of links/)
    })

    it('is one that a group may write, whoever is in it', async function () {
      if (process.geteuid!() !== 0) this.skip()
      mkdirSync(join(top, 'groups'))
      chmodSync(join(top, 'groups'), 0o775)
      chownSync(join(top, 'groups'), 0, ANOTHER_USER)
      await assert.rejects(requireUnexposed(join(top, 'groups'), 'it'), /the group 54320 may write/)
    })

    it('is none for its owner, nor behind one that this user may not enter', async function () {
      if (process.geteuid!() !== 0) this.skip()
      for (const name of ['own', 'closed']) mkdirSync(join(top, name))
      chmodSync(top, 0o755)
      chmodSync(join(top, 'closed'), 0o700)
      chownSync(join(top, 'own'), ANOTHER_USER, ANOTHER_USER)
      await asAnotherUser(async () => {
        await requireUnexposed(join(top, 'own'), 'it')
        await requireUnexposed(join(top, 'closed', 'further'), 'it')
      })
      await assert.rejects(requireUnexposed(join(top, 'own'), 'it'), /belongs to user 54320/)
    })

    it('is another user\'s', async function () {
      if (process.geteuid!() !== 0) this.skip()
      mkdirSync(join(top, 'theirs/deep'), { recursive: true })
      chownSync(join(top, 'theirs'), 65534, 65534)
      assert.match((await findExposure(join(top, 'theirs/deep'), own))!.why, /belongs to user 65534/)
    })
  })
})
