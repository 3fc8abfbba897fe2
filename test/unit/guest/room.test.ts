import { strict as assert } from 'node:assert'
import {
  chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { lstatOrNothing, makeRoom, removeStaleRooms } from '../../../src/guest/room.ts'
import { systemRandom } from '../../../src/runtime/random.ts'

const OWN = process.geteuid!()
const NOBODY = 65534

describe('a room for the sockets of a QEMU', () => {
  let directory: string
  beforeEach(() => { directory = mkdtempSync('/tmp/room-') })
  afterEach(() => rmSync(directory, { recursive: true }))

  const make = (uid = OWN): ReturnType<typeof makeRoom> => makeRoom({ random: systemRandom }, { directory, uid })
  const modeOf = (path: string): number => statSync(path).mode & 0o7777

  it('is the agent\'s, and others enter it only while it is open', async () => {
    const room = await make()
    assert.equal(join(room.inside, '..'), room.path)
    assert.match(room.inside, /\/handoff-[0-9a-f]{12}\/[\w-]{22}$/)
    assert.deepEqual([modeOf(room.path), modeOf(room.inside)], [0o711, 0o700])
    await room.shut()
    assert.equal(modeOf(room.path), 0o700)
    await room.open()
    assert.equal(modeOf(room.path), 0o711)
    await room.remove()
    await room.remove()
    assert.deepEqual(readdirSync(directory), [])
  })

  it('lets another user\'s QEMU make sockets in the inner directory, and is the agent\'s all the same', async () => {
    const room = await make(NOBODY)
    assert.deepEqual([statSync(room.path).uid, statSync(room.inside).uid], [OWN, OWN])
    // Whoever finds it may add something, and nobody else removes it.
    assert.deepEqual([modeOf(room.path), modeOf(room.inside)], [0o711, 0o1733])
    mkdirSync(join(room.inside, 'full/deep'), { recursive: true })
    await room.remove()
    assert.equal(modeOf(room.inside), 0o700, 'what stays is shut')
    rmSync(join(room.inside, 'full'), { recursive: true })
    await removeStaleRooms(directory)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('has paths that just fit a socket\'s, or is refused before it is made', async () => {
    // A room takes 44 bytes more, and the longest name in it, such as /999, 4 of 107.
    const directoryOf = (bytes: number): string => {
      const path = join(directory, 'd'.repeat(bytes - directory.length - 1))
      mkdirSync(path)
      return path
    }
    const [fits, tooLong] = [directoryOf(59), directoryOf(60)]
    const room = await makeRoom({ random: systemRandom }, { directory: fits, uid: OWN })
    assert.equal(Buffer.byteLength(room.inside), 103)
    await room.remove()
    await assert.rejects(makeRoom({ random: systemRandom }, { directory: tooLong, uid: OWN }), {
      code: 'socket-path-too-long', fault: 'usage', message: /are 1 bytes too long/,
    })
    assert.deepEqual([readdirSync(fits), readdirSync(tooLong)], [[], []])
  })

  it('is refused where others could put something in its place', async () => {
    chmodSync(directory, 0o777)
    await assert.rejects(make(), { code: 'directory-exposed' })
    chmodSync(directory, 0o700)
  })

  it('is removed without following what was planted in it', async () => {
    const precious = join(directory, 'precious')
    mkdirSync(precious)
    writeFileSync(join(precious, 'file'), '')
    const room = await make()
    symlinkSync(precious, join(room.inside, 'link'))
    symlinkSync(precious, join(room.path, 'link'))
    mkdirSync(join(room.inside, 'full/deep'), { recursive: true })
    await room.remove()
    assert.deepEqual(readdirSync(precious), ['file'])
    // What others filled stays, and nobody enters it.
    assert.deepEqual(readdirSync(room.inside), ['full'])
    assert.deepEqual([modeOf(room.path), modeOf(room.inside)], [0o700, 0o700])
  })

  it('that a killed agent left is removed, and nothing else', async () => {
    const room = await make()
    mkdirSync(join(directory, 'other'))
    symlinkSync(join(directory, 'other'), join(directory, 'handoff-link'))
    writeFileSync(join(directory, 'handoff-file'), '')
    mkdirSync(join(directory, 'handoff-theirs'))
    if (OWN === 0) chownSync(join(directory, 'handoff-theirs'), NOBODY, NOBODY)
    else rmSync(join(directory, 'handoff-theirs'), { recursive: true })
    writeFileSync(join(room.inside, 'q'), '')
    writeFileSync(join(room.path, 's'), '')
    await removeStaleRooms(directory)
    assert.equal(existsSync(room.path), false)
    assert.equal(existsSync(join(directory, 'handoff-file')), true)
    assert.equal(existsSync(join(directory, 'handoff-theirs')), OWN === 0)
    assert.equal(existsSync(join(directory, 'other')), true)
    assert.equal(lstatSync(join(directory, 'handoff-link')).isSymbolicLink(), true)
    await removeStaleRooms(join(directory, 'missing'))
  })

  it('is looked for where something may be, and an error told where nothing can be', async () => {
    writeFileSync(join(directory, 'file'), '')
    assert.equal((await lstatOrNothing(join(directory, 'file')))?.isFile(), true)
    assert.equal(await lstatOrNothing(join(directory, 'missing')), undefined)
    await assert.rejects(lstatOrNothing(join(directory, 'file', 'below')), { code: 'ENOTDIR' })
  })
})
