import { strict as assert } from 'node:assert'

import { openLab, type LibvirtLab } from './lab.ts'
import { KINDS, WAYS, type KindName, type WayName } from './ways.ts'

/** What a migration with us may put on the wire, of what one without us puts there. */
const WIRE_SHARE_MAX = 0.3

describe('libvirt', function () {
  this.timeout(300_000)
  let lab: LibvirtLab

  before(async function () { lab = await openLab.call(this) })

  for (const way of Object.keys(WAYS) as WayName[]) {
    for (const kind of Object.keys(KINDS) as KindName[]) {
      it(`moves a guest ${way}, ${kind}`, async () => {
        const source = lab.host(await lab.whereIsWeb())
        // Libvirt takes none that stands still into post-copy.
        const standsStill = kind !== 'in post-copy'
        if (standsStill) await source.virsh('suspend', 'web')
        const hash = standsStill ? await source.memoryHash('web') : undefined
        const { to, sentBytes, record } = await lab.move(way, kind)
        const destination = lab.host(to)
        if (standsStill) {
          assert.equal(await destination.memoryHash('web'), hash, 'its memory')
          await destination.virsh('resume', 'web')
        }
        await destination.guest('web').moreBeats(1)
        assert.deepEqual([record.driver, record.status], ['relay', 'completed'])
        assert.ok(record.pages.ref > 0)
        const share = sentBytes / lab.plainBytes
        console.log(`      ${sentBytes} of ${lab.plainBytes}: ${share.toFixed(3)}; ${record.mode} ${record.pages.ref} ${record.channels}`)
        assert.ok(share <= WIRE_SHARE_MAX, `${sentBytes} of ${lab.plainBytes} bytes`)
      })
    }
  }
})
