import { strict as assert } from 'node:assert'

import { IS_WHOLE } from './extent.ts'
import { openLab, type LibvirtLab } from './lab.ts'
import { SlowMigration } from './migration.ts'

/**
 * A QEMU whose post-copy was cut answers nobody while a processor of its guest waits for a page and holds its main
 * lock, as an emulated one may: nobody can resume it, with us or without. Then it is tried anew.
 */
const TRIES_MAX = 4

if (IS_WHOLE) describe('a post-copy of libvirt whose agents are killed', function () {
  this.timeout(600_000)
  let lab: LibvirtLab

  before(async function () { lab = await openLab.call(this) })

  for (const way of ['by a loopback address', 'by interception'] as const) {
    it(`goes on when they are back, ${way}`, async () => {
      for (let tries = 1; ; tries++) {
        const migration = await SlowMigration.begin(lab, way, { postcopy: true })
        const { from, to } = migration
        // What it needs to run at all has come then.
        await lab.host(to).guest('web').moreBeats(2)
        await Promise.all([from, to].map((name) => lab.cluster.agent(name).kill()))
        assert.match(await migration.failed(), /post-copy/)
        await lab.restartAgents()
        if (!await lab.host(to).qemuAnswers('web')) {
          assert.ok(tries < TRIES_MAX, 'no QEMU answered after the cut')
          await lab.startAnew()
          continue
        }
        await lab.host(from).virsh(...await lab.words(from, way, { virsh: ['--postcopy', '--postcopy-resume'] }))
        assert.equal(await lab.whereIsWeb(), to)
        await lab.host(to).guest('web').moreBeats(2)
        return
      }
    })
  }
})
