/**
 * QEMUs that see other files than their agent: in a mount namespace of their own, as in a container, below another
 * root, or as another user than the one that started them.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { ensureImage } from '../../testnet/index.ts'
import { expectArrivedWhole, skipWithoutLab } from '../support/labmove.ts'
import type { Witness } from '../support/witness.ts'
import { makeDisk } from './disk.ts'
import { diskWords, TwoHosts, type WitnessOptions } from './twohosts.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 150_000
const MEMORY_MIB = 96
/** A block of one page, which QEMU 7.2 does not say where it is: -runas makes more mappings that look like it. */
const NOT_FOUND = ['/rom@etc/acpi/rsdp']
const NOT_SEEN = /\(process \d+\) does not see \S+\/control\.sock\.d, as in a container or after -chroot: /

type Surroundings = 'usual' | 'namespace' | 'chroot' | 'user'

describe('a QEMU that sees other files than its agent', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let hosts: TwoHosts
  let root: string
  let count = 0

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    root = mkdtempSync('/tmp/apart-test-')
    mkdirSync(join(root, 'empty'))
    hosts = await TwoHosts.create()
    // For QEMUs of other users.
    chmodSync(hosts.cluster.directory, 0o711)
    await hosts.joined()
  })

  afterEach(async function () {
    if (this.currentTest?.isFailed() === true) console.log(hosts.evidence())
    await hosts.stopAll()
    await hosts.expectFree()
  })

  after(async () => {
    await hosts?.close()
    if (root !== undefined) rmSync(root, { recursive: true, force: true })
  })

  /** Words before QEMU's, and among them. */
  function wordsFor(surroundings: Surroundings, host: string): Pick<WitnessOptions, 'within' | 'further'> {
    switch (surroundings) {
      case 'usual': return {}
      case 'chroot': return { further: ['-chroot', join(root, 'empty')] }
      case 'user': return { further: ['-runas', 'nobody'] }
      case 'namespace': {
        const hide = 'mount -t tmpfs none "$0" && exec "$@"'
        const covered = `${hosts.control(host)}.d`
        return { within: ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', hide, covered] }
      }
    }
  }

  async function start(
    host: string, surroundings: Surroundings, { further = [], ...rest }: WitnessOptions,
  ): Promise<Witness> {
    const words = wordsFor(surroundings, host)
    return await hosts.start(host, { ...rest, ...words, further: [...further, ...words.further ?? []] })
  }

  async function startBoth(
    from: Surroundings, to: Surroundings, more: Partial<WitnessOptions> = {},
  ): Promise<{ source: Witness; destination: Witness; name: string }> {
    const name = `guest${++count}`
    const source = await start('a', from, { name, ...more })
    await source.guest.ready()
    const destination = await start('b', to, { name, incoming: true, ...more })
    await hosts.seen(source, destination)
    return { source, destination, name }
  }

  const ways: [Surroundings, Surroundings][] = [
    ['namespace', 'usual'], ['usual', 'namespace'], ['chroot', 'chroot'], ['user', 'user'], ['chroot', 'namespace'],
  ]
  for (const [from, to] of ways) {
    it(`hands its guest over whole: ${from} to ${to}`, async () => {
      const { source, destination, name } = await startBoth(from, to)
      await source.client.execute('stop')
      const { words, errors } = await hosts.migrate('a', name, 'b', '--channels', '1')
      assert.deepEqual([words?.status, words?.arrivedState], ['completed', 'paused'], errors)
      await expectArrivedWhole(source.guest, destination.guest, MEMORY_MIB, from === 'user' ? NOT_FOUND : [])
    })
  }

  it('hands over a guest that works', async () => {
    const { destination, name } = await startBoth('namespace', 'chroot')
    const { words, errors } = await hosts.migrate('a', name, 'b', '--channels', '1')
    assert.deepEqual([words?.status, words?.arrivedState], ['completed', 'running'], errors)
    await destination.guest.moreBeats(2)
  })

  it('takes over the disks of a paused guest', async () => {
    const disk = await makeDisk(root, 'disk')
    const { source, destination, name } = await startBoth('chroot', 'namespace', { further: diskWords(disk) })
    await source.client.execute('stop')
    const { words, errors } = await hosts.migrate('a', name, 'b', '--channels', '1')
    assert.deepEqual([words?.status, words?.arrivedState], ['completed', 'paused'], errors)
    await expectArrivedWhole(source.guest, destination.guest, MEMORY_MIB)
  })

  const refused: { title: string; from: Surroundings; to: Surroundings; words: string[]; why: string }[] = [
    { title: 'post-copy, source', from: 'namespace', to: 'usual', words: ['--mode', 'postcopy'], why: 'a post-copy' },
    { title: 'post-copy, destination', from: 'usual', to: 'chroot', words: ['--mode', 'postcopy'], why: 'a post-copy' },
    { title: 'four channels, source', from: 'chroot', to: 'usual', words: ['--channels', '4'], why: 'it can take one' },
    {
      title: 'four channels, destination', from: 'usual', to: 'namespace', words: ['--channels', '4'],
      why: 'it can take one',
    },
  ]
  for (const { title, from, to, words, why } of refused) {
    it(`is refused beforehand what would need its files: ${title}`, async () => {
      const { source, destination, name } = await startBoth(from, to)
      const before = [await source.settings(), await destination.settings()]
      const moved = await hosts.migrate('a', name, 'b', ...words)
      assert.deepEqual([moved.words?.status, moved.words?.code], ['failed', 'guest-apart'])
      assert.match(moved.words?.reason ?? '', NOT_SEEN)
      assert.match(moved.words?.reason ?? '', new RegExp(why))
      await source.guest.moreBeats(1)
      assert.deepEqual([await source.settings(), await destination.settings()], before)
    })
  }
})
