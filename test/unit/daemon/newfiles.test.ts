import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

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

  /** Of files that may replace one that holds comments. */
  const replacing = (): [NewFile, NewFile] => [
    { ...files[0], mayReplace: (text) => text.startsWith('#') }, { ...files[1], path: join(folder, 'agent.yaml') },
  ]

  it('replace a file that they may, with what they make of it', async () => {
    const [replaced, other] = replacing()
    await writeFile(replaced.path, '# before\n', { mode: 0o666 })
    await using made = await NewFiles.reserve([replaced, other])
    await made.publish([(before) => `${before}after\n`, (before) => `none: ${before}`])
    assert.equal(await readFile(replaced.path, 'utf8'), '# before\nafter\n')
    assert.equal(await readFile(other.path, 'utf8'), 'none: ')
    assert.equal((await stat(replaced.path)).mode & 0o777, 0o600)
    assert.deepEqual((await readdir(folder)).sort(), ['agent.yaml', 'key'])
  })

  it('give a replaced file back if another of them cannot appear', async () => {
    const [replaced, other] = replacing()
    await writeFile(replaced.path, '# before\n')
    const { ino } = await stat(replaced.path)
    {
      await using made = await NewFiles.reserve([replaced, other])
      await writeFile(other.path, 'another\'s')
      await assert.rejects(made.publish(['a', 'b']), { code: 'file-exists' })
    }
    assert.equal(await readFile(replaced.path, 'utf8'), '# before\n')
    assert.equal((await stat(replaced.path)).ino, ino)
    assert.deepEqual((await readdir(folder)).sort(), ['agent.yaml', 'key'])
  })

  it('replace nothing that has changed meanwhile, nor what is no file or too long', async () => {
    const [replaced] = replacing()
    await writeFile(replaced.path, '# before\n')
    {
      await using made = await NewFiles.reserve([replaced])
      await writeFile(replaced.path, '# before\n# more\n')
      await assert.rejects(made.publish(['a']), { code: 'file-exists' })
    }
    assert.equal(await readFile(replaced.path, 'utf8'), '# before\n# more\n')
    for (const text of ['says: something\n', `#${' '.repeat(1024 * 1024)}`]) {
      await writeFile(replaced.path, text)
      await assert.rejects(NewFiles.reserve([replaced]), { code: 'file-exists' })
    }
    await writeFile(join(folder, 'other'), '# elsewhere\n')
    for (const make of [
      () => symlink(join(folder, 'other'), replaced.path), () => mkdir(replaced.path),
      () => promisify(execFile)('mkfifo', [replaced.path]),
    ]) {
      await rm(replaced.path, { recursive: true })
      await make()
      await assert.rejects(NewFiles.reserve([replaced]), { code: 'file-exists' })
    }
    assert.deepEqual((await readdir(folder)).sort(), ['key', 'other'])
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
