import { strict as assert } from 'node:assert'

import { IS_WHOLE } from './extent.ts'
import { openLab, type HostName, type LibvirtLab } from './lab.ts'
import { SlowMigration } from './migration.ts'

if (IS_WHOLE) describe('a post-copy of libvirt whose agents are killed', function () {
  this.timeout(600_000)
  let lab: LibvirtLab

  before(async function () { lab = await openLab.call(this) })

  for (const way of ['by a loopback address', 'by interception'] as const) {
    it(`goes on when they are back, ${way}`, async () => {
      const migration = await SlowMigration.begin(lab, way, { postcopy: true })
      const { from, to } = migration
      // The pages that it needs to run have arrived.
      await lab.host(to).guest('web').moreBeats(2)
      await Promise.all([from, to].map((name) => lab.cluster.agent(name).kill()))
      assert.match(await migration.failed(), /post-copy/)
      await lab.restartAgents()
      await resume(from, await lab.words(from, way, { virsh: ['--postcopy', '--postcopy-resume'] }))
      await lab.host(from).virsh('migrate-setspeed', 'web', '1000', '--postcopy').catch(isOver)
      await lab.until('libvirt to have moved it', async () => !(await lab.host(from).running()).includes('web'))
      assert.match(await lab.host(to).virsh('domstate', '--reason', 'web'), /running \(migrated\)/)
      await lab.host(to).guest('web').moreBeats(2)
      const [record] = await lab.history(from)
      assert.deepEqual([record!.mode, record!.status, record!.direction], ['postcopy', 'completed', 'outgoing'])
    })
  }

  /**
   * Libvirt 9.0 reports a failure if it asks for the end before the destination QEMU is reached. It completes the
   * migration in the background all the same.
   */
  async function resume(from: HostName, words: readonly string[]): Promise<void> {
    await lab.host(from).virsh(...words).catch((error: Error) => {
      if (!error.message.includes('job \'migration in\' failed in post-copy phase')) throw error
    })
  }
})

/** It may have been fast enough without the resume. */
function isOver(error: Error): void {
  assert.match(error.message, /no domain|not running|no migration|not active/i)
}
