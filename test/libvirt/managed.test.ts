import { strict as assert } from 'node:assert'

import { IS_WHOLE } from './extent.ts'
import { openLab, type LibvirtLab } from './lab.ts'

describe('an agent beside libvirt', function () {
  this.timeout(300_000)
  let lab: LibvirtLab

  before(async function () { lab = await openLab.call(this) })

  it('finds libvirt\'s guests and counts them, and follows when they move', async () => {
    const where = await lab.whereIsWeb()
    await lab.settled(where)
    const { guests, unusable } = await lab.status(where)
    assert.deepEqual(guests.map(({ name, driver, state }) => `${name}: ${driver}, ${state}`).sort(), [
      `twin-${where}: managed, unknown`, 'web: managed, unknown',
    ])
    assert.deepEqual(guests.map(({ ramBytes }) => ramBytes), [128 * 2 ** 20, 128 * 2 ** 20])
    assert.deepEqual(unusable, [])
  })

  it('does not move libvirt\'s guests', async () => {
    const agent = lab.cluster.agent(await lab.whereIsWeb())
    for (const words of [['migrate', 'web', '--to', 'nowhere'], ['cancel', 'web']]) {
      const { status, errors } = await agent.command(...words)
      assert.equal(status, 1)
      assert.match(errors, /The guest web is moved by its manager/)
    }
  })

  if (IS_WHOLE) it('shows guests that share nothing, and does not count them', async () => {
    const left = lab.host('left')
    await lab.cluster.startGuest(left, 'apart', { isPrivate: true })
    try {
      await lab.until('the guest to be shown', async () =>
        (await lab.status('left')).guests.some(({ name }) => name === 'apart'))
      // The other guests are scanned anew meanwhile.
      const { census: { scans } } = await lab.status('left')
      await lab.until('another scan', async () => (await lab.status('left')).census.scans > scans + 1)
      const { guests } = await lab.status('left')
      assert.equal(guests.find(({ name }) => name === 'apart')!.residentPages, 0)
    } finally {
      await left.virsh('destroy', 'apart')
      await left.virsh('undefine', 'apart')
    }
    await lab.until('it to be gone', async () =>
      (await lab.status('left')).guests.every(({ name }) => name !== 'apart'))
  })
})
