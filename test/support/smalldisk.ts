import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { madeDirectory } from './madestore.ts'

/**
 * A disk of so many bytes for the tests of a suite; returns its path. To be called inside `describe`. Skips the suite
 * where none can be mounted, which takes root.
 */
export function smallDisk(bytes: number): string {
  let isMounted = false

  // Before the directory around it is removed.
  after(() => {
    if (isMounted) execFileSync('umount', [disk])
  })

  const disk = join(madeDirectory(), 'disk')

  before(function () {
    mkdirSync(disk)
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'pagemesh-test', disk], { stdio: 'pipe' })
      isMounted = true
    } catch (error) {
      console.log(`      skipped: no disk of ${bytes} bytes could be mounted: ${String(error).split('\n')[0]}`)
      this.skip()
    }
  })

  return disk
}
