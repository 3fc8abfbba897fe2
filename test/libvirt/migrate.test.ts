import { strict as assert } from 'node:assert'
import { readdirSync } from 'node:fs'

import { systemClock, type AgentStatus } from '../../src/index.ts'
import { LibvirtCluster, missingForLab, waitFor, type LabAgent, type LibvirtHost } from '../../testnet/index.ts'

const SEEN_MS_MAX = 60_000

/** Where libvirt and the lab could leave something on this machine. */
function traces(): string[] {
  return ['/etc/libvirt', '/var/lib/libvirt', '/run', '/run/netns', '/var/log', '/var/cache']
    .flatMap((folder) => (readEntries(folder)).map((name) => `${folder}/${name}`))
    .filter((path) => /libvirt|\/pm-/.test(path))
}

function readEntries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // What is not there has no traces.
    return []
  }
}

describe('libvirt, with an agent beside each daemon', function () {
  this.timeout(300_000)
  let cluster: LibvirtCluster
  let left: LibvirtHost
  let right: LibvirtHost
  let untouched: string[]

  before(async function () {
    const missing = await missingForLab()
    if (missing !== undefined) {
      this.test!.parent!.title += ` (skipped: no ${missing})`
      this.skip()
    }
    untouched = traces()
    cluster = await LibvirtCluster.start({ hosts: ['left', 'right'] })
    ;[left, right] = cluster.hosts as [LibvirtHost, LibvirtHost]
  })

  after(async () => {
    await cluster?.close()
    // Other tests' networks may come and go meanwhile.
    const ours = (path: string): boolean => !/netns\/pm-/.test(path) || path.includes(`pm-${process.pid}-`)
    assert.deepEqual(traces().filter(ours), untouched.filter(ours))
  })

  /** What an agent says once it has found and counted exactly these guests. */
  function seen(agent: LabAgent, ...names: string[]): Promise<AgentStatus> {
    return waitFor(async () => {
      const status = await agent.status()
      const counted = status.guests.filter(({ distinctPages }) => distinctPages > 0).map(({ name }) => name).sort()
      return counted.join() === names.join() ? status : undefined
    }, { clock: systemClock, what: `guests ${names.join()} to be counted`, timeoutMs: SEEN_MS_MAX, pauseMs: 200 })
  }

  it('has guests on both hosts that come up, and each agent counts its own', async () => {
    await cluster.startGuest(left, 'web')
    await cluster.startGuest(right, 'twin')
    for (const [index, name] of ['web', 'twin'].entries()) {
      const { guests, unusable } = await seen(cluster.agents[index]!, name)
      assert.deepEqual(guests.map(({ driver, state }) => [driver, state]), [['managed', 'unknown']])
      assert.equal(guests[0]!.ramBytes, 128 * 2 ** 20)
      assert.deepEqual(unusable, [])
    }
  })

  it('does not let the agent move what is libvirt\'s', async () => {
    for (const words of [['migrate', 'web', '--to', 'right'], ['cancel', 'web']]) {
      const { status, errors } = await cluster.agents[0]!.command(...words)
      assert.equal(status, 1)
      assert.match(errors, /The guest web is its manager's to move/)
    }
  })

  it('migrates a guest there and back, and the agents follow', async () => {
    await left.virsh('migrate', '--live', 'web', 'qemu+tcp://right/system')
    assert.deepEqual([await left.running(), await right.running()], [[], ['twin', 'web']])
    await right.guest('web').moreBeats(2)
    await seen(cluster.agents[1]!, 'twin', 'web')
    assert.deepEqual((await seen(cluster.agents[0]!)).guests, [])
    await right.virsh('migrate', '--live', '--p2p', 'web', 'qemu+tcp://left/system')
    assert.deepEqual([await left.running(), await right.running()], [['web'], ['twin']])
    await left.guest('web').moreBeats(2)
    await seen(cluster.agents[0]!, 'web')
    await seen(cluster.agents[1]!, 'twin')
  })

  it('has guests that share nothing, which are shown and not counted', async () => {
    await cluster.startGuest(left, 'apart', { isPrivate: true })
    const { guests } = await waitFor(async () => {
      const status = await cluster.agents[0]!.status()
      return status.guests.length === 2 && status.settled ? status : undefined
    }, { clock: systemClock, what: 'the guest to be shown', timeoutMs: SEEN_MS_MAX, pauseMs: 200 })
    const counted = guests.map(({ name, residentPages }) => [name, residentPages > 0])
    assert.deepEqual(counted, [['apart', false], ['web', true]])
    await left.virsh('destroy', 'apart')
    await seen(cluster.agents[0]!, 'web')
  })
})
