import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import {
  createCluster, createLabKey, ensureImage, runCli, startAgent, stateOf, waitFor,
  type CommandOutcome, type LabAgent, type LabCluster, type LabGuest,
} from '../../testnet/index.ts'
import { skipWithoutLab, type GuestKind } from '../support/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 180_000
/** This guest need not boot: it only has to exist. */
const GUEST: GuestKind = { name: 'guest', work: 'idle', memoryMiB: 128 }
/** A name that no member ever had: for one that left recently the agent would wait. */
const STRANGER = 'stranger'
const STRANGER_TIMEOUT_MS = 60_000

describe('handoff is refused', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined
  let source: LabAgent
  let guest: LabGuest
  let stranger: LabAgent | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: ['a', 'b', 'c'] })
    source = cluster.agent('a')
    guest = await cluster.startGuest('a', GUEST)
    await cluster.settled()
  })

  after(async () => {
    await stranger?.stop()
    await cluster?.close()
  })

  afterEach('the guest runs on at the source', async () => {
    assert.equal(await stateOf(guest), 'running')
    assert.deepEqual((await source.status()).handoffs, [])
  })

  /** Expects exit status 1, one JSON object with `code`, and its sentence also on standard error. */
  async function expectRefused(words: readonly string[], code: string, reason: RegExp): Promise<void> {
    const outcome = await source.command('migrate', ...words, '--json')
    assert.equal(outcome.status, 1, outcome.errors)
    const said = onlyObject(outcome)
    assert.deepEqual([said['status'], said['code']], ['failed', code])
    assert.match(String(said['reason']), reason)
    const plain = await source.command('migrate', ...words)
    assert.equal(plain.status, 1)
    assert.equal(plain.output, '')
    assert.match(plain.errors, reason)
  }

  it('to a host that the mesh does not know, naming those it knows', async () => {
    await expectRefused([GUEST.name, '--to', 'nowhere'], 'host-unknown', /No host named nowhere .*: (b, c|c, b)\./)
  })

  it('to the host where the guest is', async () => {
    await expectRefused([GUEST.name, '--to', 'a'], 'same-host', /a is this host/)
  })

  it('of an unknown guest, naming the known ones', async () => {
    await expectRefused(['nobody', '--to', 'b'], 'guest-unknown', /no guest named nobody .*: guest\./)
  })

  it('where no QEMU waits for the guest', async () => {
    const reason = /no QEMU named guest waits there.*-incoming defer/
    await expectRefused([GUEST.name, '--to', 'b'], 'no-waiting-guest', reason)
  })

  it('where a QEMU of that name does not wait', async () => {
    const other = await cluster!.startGuest('b', { ...GUEST, paused: true })
    try {
      const reason = /QEMU named guest is prelaunch and does not wait/
      await expectRefused([GUEST.name, '--to', 'b'], 'no-waiting-guest', reason)
    } finally {
      await other.stop()
    }
  })

  it('of a guest whose operator switched x-ignore-shared on, and leaves it on', async () => {
    await setIgnoreShared(guest, true)
    const waiting = await cluster!.startGuest('b', { ...GUEST, incoming: true })
    try {
      const reason = /x-ignore-shared is on: .*migrate-set-capabilities/
      await expectRefused([GUEST.name, '--to', 'b'], 'guest-not-movable', reason)
      assert.equal(await hasIgnoreShared(guest), true)
    } finally {
      await waiting.stop()
      await setIgnoreShared(guest, false)
    }
  })

  it('of a guest that is moving already, and the move goes on', async () => {
    const waiting = await cluster!.startGuest('b', { ...GUEST, incoming: true })
    try {
      const moving = source.migrate(GUEST.name, 'b', '--max-bandwidth', '1Mbit')
      await waitFor(async () => {
        const [handoff] = (await source.status()).handoffs
        return handoff?.phase === 'precopy' ? true : undefined
      }, { clock: systemClock, what: 'the move to begin', timeoutMs: TEST_TIMEOUT_MS })
      await expectRefused([GUEST.name, '--to', 'c'], 'already-moving', /guest is moving already.*pagemesh cancel/)
      assert.equal((await source.status()).handoffs.length, 1)
      const cancelled = await source.command('cancel', GUEST.name, '--json')
      assert.equal(cancelled.status, 0, cancelled.errors)
      onlyObject(cancelled)
      const { status, result } = await moving
      assert.equal(status, 130)
      assert.equal(result?.status, 'cancelled')
    } finally {
      await waiting.stop()
    }
  })

  it('to a host without the cluster key, which is counted as a stranger', async () => {
    await cluster!.agent('c').stop()
    stranger = await startStranger(cluster!)
    await waitFor(async () => (await source.status()).strangers > 0 ? true : undefined, {
      clock: systemClock, what: 'the stranger to be turned away', timeoutMs: STRANGER_TIMEOUT_MS,
    })
    assert.deepEqual((await stranger.status()).peers, [])
    assert.deepEqual((await source.status()).peers.map(({ host }) => host), ['b'])
    await expectRefused([GUEST.name, '--to', STRANGER], 'host-unknown', /No host named stranger is in the mesh/)
  })

  it('without an agent on this host', async () => {
    const outcome = await runCli(source.host, [
      'migrate', GUEST.name, '--to', 'b', '--json', '--control', join(cluster!.directory, 'none.sock'),
    ])
    assert.equal(outcome.status, 1)
    assert.equal(onlyObject(outcome)['code'], 'no-agent')
  })

  const misuses: Record<string, { words: string[]; says: RegExp }> = {
    'no destination': { words: ['migrate', 'guest'], says: /--to <host>/ },
    'an unknown mode': { words: ['migrate', 'guest', '--to', 'b', '--mode', 'sideways'], says: /precopy, postcopy/ },
    'a rate that is none': { words: ['migrate', 'guest', '--to', 'b', '--max-bandwidth', 'fast'], says: /500Mbit/ },
  }
  for (const [title, { words, says }] of Object.entries(misuses)) {
    it(`with ${title}: wrong usage`, async () => {
      expectUsageError(await runCli(source.host, [...words, '--json']), says)
    })
  }
})

describe('an agent does not start', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined
  let directory: string

  before(async function () {
    await skipWithoutLab.call(this)
    cluster = await createCluster({ hosts: ['a'] })
    directory = join(cluster.directory, 'bad')
    mkdirSync(directory)
    writeFileSync(join(directory, 'garbage.key'), 'no key at all\n')
  })

  after(async () => {
    await cluster?.close()
  })

  const faults: Record<string, { clusterKey: string; more?: string; says: RegExp }> = {
    'a cluster key that is not there': { clusterKey: 'none.key', says: /none\.key/ },
    'a cluster key that cannot be read': { clusterKey: '', says: /bad/ },
    'a cluster key that is none': { clusterKey: 'garbage.key', says: /garbage\.key/ },
    'an unknown key in its configuration': {
      clusterKey: '../cluster.key', more: 'gests: []\n', says: /`gests` is unknown.*`guests`/,
    },
  }
  for (const [title, { clusterKey, more = '', says }] of Object.entries(faults)) {
    it(`with ${title}, and check says so, too`, async () => {
      const host = cluster!.network.host('a')
      const config = join(directory, 'agent.yaml')
      writeFileSync(config, `name: bad\nclusterKey: ${join(directory, clusterKey)}\n${more}`)
      for (const command of ['agent', 'check']) {
        expectUsageError(await runCli(host, [command, '--config', config]), says)
      }
    })
  }
})

function expectUsageError(outcome: CommandOutcome, says: RegExp): void {
  assert.equal(outcome.status, 2, outcome.errors)
  assert.equal(outcome.output, '')
  assert.match(outcome.errors, says)
}

/** The output of a command with `--json`: one object on one line, and nothing else. */
function onlyObject({ output }: CommandOutcome): Record<string, unknown> {
  assert.match(output, /^\{.*\}\n$/)
  return JSON.parse(output) as Record<string, unknown>
}

/** An agent on host c with another name and its own key, which dials host a. */
async function startStranger({ directory, network }: LabCluster): Promise<LabAgent> {
  const own = join(directory, STRANGER)
  return await startAgent({
    host: { ...network.host('c'), name: STRANGER }, directory: own, guestDirectory: join(own, 'guests'),
    mesh: { clusterKey: await createLabKey(own), bootstrap: [network.host('a')] },
  })
}

async function setIgnoreShared(guest: LabGuest, state: boolean): Promise<void> {
  await guest.qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state }] })
}

async function hasIgnoreShared(guest: LabGuest): Promise<boolean> {
  const all = await guest.qmp.execute('query-migrate-capabilities') as { capability: string; state: boolean }[]
  return all.some(({ capability, state }) => capability === 'x-ignore-shared' && state)
}
