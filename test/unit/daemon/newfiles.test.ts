import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { NewFiles, type NewFile } from '../../../src/daemon/newfiles.ts'
import { madeDirectory } from '../../support/madestore.ts'

const directory = madeDirectory()

describe('new files that appear together', () => {
  let folder: string
  let files: [NewFile, NewFile]

  beforeEach(async () => {
    await mkdir(directory, { recursive: true })
    folder = await mkdtemp(join(directory, 'new-'))
    files = [
      { path: join(folder, 'key'), mode: 0o600, use: 'the cluster key' },
      { path: join(folder, 'there', 'agent.yaml'), mode: 0o644, use: 'the configuration' },
    ]
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('have their names only when they are whole, with their modes whatever the umask is, and no more', async () => {
    const umask = process.umask(0o777)
    try {
      await mkdir(files[1].path.replace('/agent.yaml', ''), { mode: 0o755 })
      await chmod(files[1].path.replace('/agent.yaml', ''), 0o755)
      await using made = await NewFiles.reserve(files)
      assert.equal((await readdir(folder)).includes('key'), false)
      await made.publish(['a', 'b'])
    } finally {
      process.umask(umask)
    }
    assert.deepEqual(await readdir(folder, { recursive: true }), ['key', 'there', 'there/agent.yaml'])
    for (const [index, { path, mode }] of files.entries()) {
      assert.equal(await readFile(path, 'utf8'), 'ab'[index])
      assert.equal((await stat(path)).mode & 0o777, mode)
    }
  })

  it('leave nothing behind if they are not published, not even a directory that was made for them', async () => {
    {
      await using made = await NewFiles.reserve(files)
      assert.equal((await readdir(folder)).length, 2)
      assert.ok(made)
    }
    assert.deepEqual(await readdir(folder), [])
  })

  it('replace no file, not even a link that leads nowhere', async () => {
    await symlink(join(folder, 'nowhere'), files[0].path)
    await assert.rejects(NewFiles.reserve(files), { code: 'file-exists', fault: 'host' })
    await assert.rejects(NewFiles.reserve([files[1], files[0]]), { code: 'file-exists' })
    assert.deepEqual(await readdir(folder), ['key'])
  })

  it('leave a file that came meanwhile as it is, and then none appears', async () => {
    for (const late of files) {
      await using made = await NewFiles.reserve(files)
      await writeFile(late.path, 'another\'s')
      await assert.rejects(made.publish(['a', 'b']), { code: 'file-exists' })
      assert.equal(await readFile(late.path, 'utf8'), 'another\'s')
      await made[Symbol.asyncDispose]()
      const left = late === files[0] ? ['key'] : ['there', 'there/agent.yaml']
      assert.deepEqual(await readdir(folder, { recursive: true }), left)
      await rm(late.path)
    }
  })

  it('are not written where that is impossible, or where others could replace them', async () => {
    await writeFile(join(folder, 'file'), '')
    const below = { ...files[0], path: join(folder, 'file', 'key') }
    await assert.rejects(NewFiles.reserve([below]), { code: 'join-not-written', data: { path: below.path } })
    const deep = { ...files[0], path: join(folder, 'no', 'such', 'key') }
    await assert.rejects(NewFiles.reserve([deep]), { code: 'join-not-written' })
    await mkdir(join(folder, 'open'))
    await chmod(join(folder, 'open'), 0o777)
    const exposed = { ...files[0], path: join(folder, 'open', 'key') }
    await assert.rejects(NewFiles.reserve([files[1], exposed]), { code: 'directory-exposed' })
    assert.deepEqual((await readdir(folder)).sort(), ['file', 'open'])
  })
})
