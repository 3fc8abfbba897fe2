/** Migrations that managers drive, on real QEMUs: by a tunnel, by interception, and with faults. */
import type { QemuRelease } from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import { broken } from './broken.ts'
import { foreign } from './foreign.ts'
import { intercepted } from './intercepted.ts'
import { ManagerLab, SETUP_TIMEOUT_MS, TEST_TIMEOUT_MS } from './managerlab.ts'
import { shut } from './shut.ts'
import { tunnelled } from './tunnelled.ts'

const RELEASES: readonly QemuRelease[] = ['system', 'next']
/**
 * With `PAGEMESH_RELAYED=long` all tests run with both QEMUs; otherwise the second runs only tests whose stream
 * differs.
 */
const isLong = process.env.PAGEMESH_RELAYED === 'long'

for (const release of RELEASES) describe(`a migration that a manager drives (${release} QEMU)`, function () {
  this.timeout(TEST_TIMEOUT_MS)
  let opened: ManagerLab
  const lab = (): ManagerLab => opened
  const isWhole = isLong || release === 'system'

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    opened = await ManagerLab.open(release)
  })

  after(async () => { await (opened as ManagerLab | undefined)?.close() })

  describe('by a tunnel', () => tunnelled(lab, isWhole))
  describe('by interception', () => intercepted(lab, isWhole))
  describe('that breaks', () => broken(lab, isWhole))
  if (!isWhole) return
  describe('that the agents cannot read', () => foreign(lab))
  describe('to addresses that are not configured', () => shut(lab))
})
