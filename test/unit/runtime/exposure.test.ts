import { strict as assert } from 'node:assert'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

import { exposureOf, findExposure, isMapped, requireUnexposed } from '../../../src/runtime/exposure.ts'

const ROOT = { users: [0], trustsGroups: false }
const STEP = { path: '/run/pagemesh', isLink: false, uid: 0, gid: 0, mode: 0o40755 }

describe('a directory that others can change', () => {
  const cases: [string, Partial<typeof STEP>, RegExp | undefined][] = [
    ['root\'s, which only root writes', {}, undefined],
    ['another user\'s', { uid: 1000 }, /belongs to user 1000/],
    ['one that all may write', { mode: 0o40777 }, /every user may write/],
    ['one that all may write to, and remove only what is theirs', { mode: 0o41777 }, undefined],
    ['one that a group may write', { gid: 100, mode: 0o40775 }, /the group 100 may write/],
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

  it('is none where the users and groups are trusted', () => {
    const step = { ...STEP, uid: 64055, gid: 64055, mode: 0o40770 }
    assert.equal(exposureOf(step, { users: [0, 64055], trustsGroups: true }), undefined)
  })

  it('knows users that have no number in this namespace', () => {
    assert.equal(isMapped('         0          0 4294967295\n', 65534), true)
    assert.equal(isMapped('         0       1000          1\n', 65534), false)
    assert.equal(isMapped('0 1000 1\n1 100000 65536\n', 65534), true)
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
        code: 'directory-exposed', advice: `Run \`chmod o-w ${join(top, 'open')}\`.`,
      })
    })

    it('is a link in circles', async () => {
      symlinkSync(join(top, 'b'), join(top, 'a'))
      symlinkSync(join(top, 'a'), join(top, 'b'))
      assert.match((await findExposure(join(top, 'a'), own))!.why, /in circles/)
    })

    it('is another user\'s', async function () {
      if (process.geteuid!() !== 0) this.skip()
      mkdirSync(join(top, 'theirs/deep'), { recursive: true })
      chownSync(join(top, 'theirs'), 65534, 65534)
      assert.match((await findExposure(join(top, 'theirs/deep'), own))!.why, /belongs to user 65534/)
    })
  })
})
