import assert from 'node:assert/strict'

import { untilStatus, type Drive, type ManagerLab, type Pair } from './managerlab.ts'
import { untilDirect } from './tables.ts'
import { expectMoved } from './tunnelled.ts'

const AT_ONCE = 5
const PROXMOX_PORT = 60_000

/** Tests of migrations to an ordinary address of another host, by managers that know nothing of Pagemesh. */
export function intercepted(lab: () => ManagerLab, isWhole: boolean): void {
  afterEach(() => lab().endGuests())

  it('passes with xbzrle and auto-converge from a QEMU that waits at port 60000, as Proxmox has it', async () => {
    const { carried } = await lab().intercepted()
    const incoming = ['-incoming', `tcp:${lab().cluster.network.host('b').address}:${PROXMOX_PORT}`]
    const pair = await lab().pair({ incoming })
    const { source, destination } = pair
    // The only capabilities that Proxmox sets, only at the source: there is no return path.
    await source.qmp.execute('migrate-set-capabilities', {
      capabilities: ['xbzrle', 'auto-converge'].map((capability) => ({ capability, state: true })),
    })
    await source.qmp.execute('migrate', { uri: `tcp:${destination.host!.address}:${PROXMOX_PORT}` })
    await lab().complete(pair)
    const record = await lab().record('a', source.name)
    // Neither QEMU has reported that the guest was loaded.
    assert.deepEqual([record.status, record.code, record.channels], ['unknown', 'no-return-path', 1])
    assert.ok(record.digestMatched)
    assert.ok(record.pages.ref > 0 && record.wireBytes < record.qemuBytes / 2, JSON.stringify(record))
    assert.equal((await lab().intercepted()).carried, carried + 1)
  })

  if (!isWhole) return

  it('passes twice at once, in opposite directions', async () => {
    const pairs = await lab().pairs({ from: 'a', to: 'b' }, { from: 'b', to: 'a' })
    await all(pairs, (pair) => lab().directDrive(pair))
    for (const [index, { source: { name } }] of pairs.entries()) {
      const [from, to] = index === 0 ? ['a', 'b'] as const : ['b', 'a'] as const
      const record = await lab().record(from, name)
      assert.deepEqual([record.from, record.to, record.direction], [from, to, 'outgoing'])
      expectMoved(record)
      assert.equal((await lab().record(to, name)).direction, 'incoming')
    }
  })

  it(`passes ${AT_ONCE} times at once, one of them over eight channels more`, async () => {
    const { carried, direct } = await lab().intercepted()
    const pairs = await lab().pairs(...Array.from({ length: AT_ONCE }, () => ({})))
    await all(pairs, (pair, index): Drive => ({
      ...lab().directDrive(pair),
      ...(index === 0 ? { capabilities: ['multifd'], parameters: { 'multifd-channels': 8 } } : {}),
    }))
    for (const [index, { source: { name } }] of pairs.entries()) {
      const record = await lab().record('a', name)
      expectMoved(record)
      assert.equal(record.channels, index === 0 ? 9 : 1)
    }
    const after = await lab().intercepted()
    assert.deepEqual([after.carried - carried, after.direct - direct], [AT_ONCE + 8, 0])
  })

  it('goes direct when the agent has been killed', async () => {
    const pair = await lab().pair()
    await lab().cluster.agent('a').kill()
    try {
      await untilDirect(lab().cluster.network.host('a'))
      await lab().begin(pair, lab().directDrive(pair))
      await lab().complete(pair)
    } finally {
      await lab().cluster.restartAgent('a')
      await lab().met()
    }
  })

  /** All are under way before the first is awaited. */
  async function all(pairs: readonly Pair[], driveOf: (pair: Pair, index: number) => Drive): Promise<void> {
    const drives = pairs.map(driveOf)
    await Promise.all(pairs.map(async (pair, index) => {
      await lab().begin(pair, drives[index]!)
      await untilStatus(pair.source, 'completed')
      await untilStatus(pair.destination, 'completed')
    }))
    for (const pair of pairs) await lab().complete(pair)
  }
}
