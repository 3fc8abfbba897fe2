/** What can be checked before a guest is touched is refused, in words that name what and where, or set right. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ensureQemu } from '../../testnet/index.ts'
import { settingsLeft } from '../support/verdict.ts'
import type { Witness } from '../support/witness.ts'
import type { TravellingGuest } from './travelling.ts'
import { travels } from './travels.ts'
import { expectBeats, type Moved, type TwoHosts, type WitnessKind } from './twohosts.ts'

const TEST_TIMEOUT_MS = 120_000
const TMPFS = 0x01021994
const RAM_KIB = 96 * 1024 - 8
/** The moments at which the source QEMU can be kept from migrating are short: this many attempts are made. */
const TRIES_MAX = 10
/** A disk of a format that QEMU cannot migrate. */
const BLOCKER = { 'driver': 'vvfat', 'node-name': 'fat', 'rw': true } as const

interface Difference {
  title: string
  /** The waiting QEMU's arguments, if they differ. */
  further?: readonly string[]
  other?: WitnessKind
  names: readonly RegExp[]
}

/** The sentence names the side. */
const A_SIDE = /\b(on|at|of|for) [ab]\b/

const DIFFERENCES: readonly Difference[] = [
  {
    title: 'less memory at the source', other: { memoryMiB: 128 },
    names: [/pc\.ram/, /\b(on|at) a\b/, /\b(on|at) b\b/],
  },
  {
    title: 'another machine type', other: { machine: 'pc-i440fx-7.1' },
    names: [/pc-i440fx-7\.2.* (on|at) a\b/, /pc-i440fx-7\.1.* (on|at) b\b/],
  },
  { title: 'a network card at the destination only', further: ['-device', 'e1000'], names: [/e1000/, A_SIDE] },
  {
    title: 'more processors at the destination', further: ['-smp', '2'],
    names: [/cpu|processor/i, /\b1\b.* (on|at) a\b/, /\b2\b.* (on|at) b\b/],
  },
  { title: 'a device at the destination only', further: ['-device', 'virtio-rng-pci'], names: [/virtio-rng/, A_SIDE] },
  { title: 'a disk at the source only', other: { further: [] }, names: [/virtio-blk/, A_SIDE] },
]

interface Setting {
  title: string
  /** For both QEMUs; default next. */
  qemu?: 'system' | 'next'
  source?: Record<string, boolean>
  destination?: Record<string, boolean>
  sourceParameters?: Record<string, unknown>
  mode?: 'precopy' | 'postcopy'
  /** What the refusal must name. */
  names: RegExp
}

const PREEMPT = { 'postcopy-ram': true, 'postcopy-preempt': true }
const ACKNOWLEDGED = { 'return-path': true, 'switchover-ack': true }

const SETTINGS: readonly Setting[] = [
  { title: 'mode=cpr-reboot', sourceParameters: { mode: 'cpr-reboot' }, names: /cpr-reboot/ },
  { title: 'switchover-ack at the source only', source: ACKNOWLEDGED, names: /switchover-ack/ },
  { title: 'switchover-ack at the destination only', destination: ACKNOWLEDGED, names: /switchover-ack/ },
  { title: 'mapped-ram at the destination only', destination: { 'mapped-ram': true }, names: /mapped-ram/ },
  { title: 'postcopy-preempt at the source, in pre-copy', qemu: 'system', source: PREEMPT, names: /postcopy-preempt/ },
  {
    title: 'postcopy-preempt at the destination, in pre-copy', qemu: 'system', destination: PREEMPT,
    names: /postcopy-preempt/,
  },
  {
    title: 'postcopy-preempt at both, in post-copy', qemu: 'system', source: PREEMPT, destination: PREEMPT,
    mode: 'postcopy', names: /postcopy-preempt/,
  },
  {
    title: 'postcopy-preempt at the source, in post-copy', source: PREEMPT, mode: 'postcopy',
    names: /postcopy-preempt/,
  },
]

describe('a check before the guest is touched', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let hosts: TwoHosts
  let guest: TravellingGuest
  let directory: string | undefined
  /** The directory that the blocker serves. */
  let fat: string

  const made = travels({
    prepare: async ({ cluster }) => {
      await ensureQemu('next')
      directory = onDisk()
      fat = join(cluster.directory, 'fat')
      mkdirSync(fat)
    },
  })
  beforeEach(() => { ({ hosts, guest } = made) })

  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
  })

  async function moveTo(destination: Witness, ...words: string[]): Promise<Moved> {
    return await hosts.migrate(guest.home.host, guest.name, destination.host, ...words)
  }

  /** Refused, also by a dry run, with a sentence that names all of these; both QEMUs are unchanged. */
  async function expectRefused(destination: Witness, names: readonly RegExp[], ...words: string[]): Promise<void> {
    const { home } = guest
    const before = await stateOf(home)
    const waited = await stateOf(destination)
    for (const further of [['--dry-run'], []]) {
      const moved = await moveTo(destination, ...words, ...further)
      assert.equal(moved.status, 1, `${further.join()} ends with 1: ${moved.output}${moved.errors}`)
      const reason = moved.words?.reason ?? moved.errors
      for (const name of names) assert.match(reason, name, `${further.join() || 'the move'} says: ${reason}`)
    }
    assert.deepEqual(await stateOf(home), before, 'the source is as it was')
    assert.equal(before.state, 'running')
    assert.equal(home.stoppedSince(0), undefined, 'the guest never stopped')
    assert.deepEqual(await stateOf(destination), waited, 'the waiting QEMU waits as before')
    assert.equal(waited.state, 'inmigrate')
    await hosts.expectFree()
  }

  for (const { title, further = [], other = {}, names } of DIFFERENCES) {
    it(`${title}: refused, naming what differs and where`, async () => {
      await expectRefused(await guest.waiting(further, other), names)
    })
  }

  for (const setting of SETTINGS) {
    const { title, qemu = 'next', source = {}, destination: atDestination = {}, mode = 'precopy', names } = setting
    it(`${title}, on QEMU ${qemu === 'next' ? 10 : 7.2}: refused or set right`, async () => {
      await guest.restore('a', [], { qemu })
      const { home } = guest
      const destination = await guest.waiting([], { qemu })
      await home.client.execute('migrate-set-capabilities', { capabilities: capabilitiesOf(source) })
      await home.client.execute('migrate-set-parameters', setting.sourceParameters ?? {})
      await destination.client.execute('migrate-set-capabilities', { capabilities: capabilitiesOf(atDestination) })
      const before = [await home.settings(), await destination.settings()] as const
      const moved = await moveTo(destination, '--mode', mode)
      if (moved.status === 0) {
        assert.equal(await destination.client.state(), 'running')
        await expectBeats(destination.guest)
      } else {
        assert.match(moved.words?.reason ?? moved.errors, names)
        assert.equal(await home.client.state(), 'running')
        assert.equal(home.stoppedSince(0), undefined, 'the guest never stopped')
        assert.equal(await destination.client.state(), 'inmigrate', 'the waiting QEMU waits on')
      }
      assert.equal(settingsLeft({ before: before[0], after: await home.settings() }), '', 'at the source')
      assert.equal(settingsLeft({ before: before[1], after: await destination.settings() }), '', 'at the destination')
      await hosts.expectFree()
    })
  }

  it('a source QEMU that names a blocker: refused in QEMU\'s words', async () => {
    await guest.home.client.execute('blockdev-add', { ...BLOCKER, dir: fat })
    await expectRefused(await guest.waiting(), [/vvfat/])
  })

  it('post-copy into memory in a file on a disk\'s file system: refused', async function () {
    if (directory === undefined) this.skip()
    const destination = await guest.waiting([
      '-object', `memory-backend-file,id=pc.ram,size=${RAM_KIB}K,share=on,mem-path=${join(directory, 'ram')}`,
      '-machine', 'memory-backend=pc.ram',
    ])
    await expectRefused(destination, [/post-?copy/i, /file|memory/, A_SIDE], '--mode', 'postcopy')
  })

  it('a source QEMU that refuses to migrate: the waiting one waits on, and the next move to it works', async () => {
    for (let attempt = 1; attempt <= TRIES_MAX; attempt++) {
      const { home } = guest
      const destination = await guest.waiting()
      const moving = moveTo(destination)
      // The agents' checks passed; only now there is a blocker.
      await untilTouched(home, moving)
      await home.client.execute('blockdev-add', { ...BLOCKER, dir: fat }).catch(() => {})
      const moved = await moving
      if (moved.status === 0) {
        await guest.restore()
        continue
      }
      hosts.trace.add('test', `attempt ${attempt} was refused`)
      assert.match(moved.words?.reason ?? '', /vvfat|refused/)
      assert.equal(await home.client.state(), 'running')
      assert.equal(await destination.client.state(), 'inmigrate', 'the waiting QEMU waits on')
      await home.client.execute('blockdev-del', { 'node-name': 'fat' })
      const again = await moveTo(destination)
      assert.equal(again.status, 0, again.errors)
      assert.equal(await destination.client.state(), 'running')
      return
    }
    assert.fail(`in ${TRIES_MAX} moves the source QEMU could not be brought to refuse`)
  })
})

/** The state that a refusal must leave unchanged. */
async function stateOf(witness: Witness): Promise<Record<string, unknown>> {
  const { status = 'none' } = await witness.client.execute('query-migrate') as { status?: string }
  return { state: await witness.client.state(), migration: status, settings: await witness.settings() }
}

function capabilitiesOf(states: Record<string, boolean>): { capability: string; state: boolean }[] {
  return Object.entries(states).map(([capability, state]) => ({ capability, state }))
}

/** Resolves when an agent has changed a setting at the source, or the move ended. */
async function untilTouched(source: Witness, moving: Promise<unknown>): Promise<void> {
  const before = await source.settings()
  let isOver = false
  void moving.then(() => { isOver = true })
  while (!isOver && settingsLeft({ before, after: await source.settings() }) === '');
}

/** A directory on a file system that cannot hold post-copy's memory; undefined if there is none. */
function onDisk(): string | undefined {
  const parent = [tmpdir(), '/var/tmp', import.meta.dirname].find((path) => statfsSync(path).type !== TMPFS)
  return parent === undefined ? undefined : mkdtempSync(join(parent, 'pm-memory-'))
}
