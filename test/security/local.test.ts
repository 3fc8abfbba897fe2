import { strict as assert } from 'node:assert'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { asNobody } from '../lifecycle/guestmoves.ts'
import { skipWithoutQemu } from '../support/qemuprocess.ts'
import { plantLinks, swapSockets, type Attacker } from './attackers.ts'
import { NOBODY } from './nobody.ts'
import { TravellingGuest, type TravelInit } from './travelling.ts'

const ROUNDS = Number(process.env['PAGEMESH_ROUNDS'] ?? 20)
const ROUND_MS_MAX = 60_000
const HINDRANCES_A_ROUND_MAX = 20
/** A user that is in no password file. */
const MADE_UP = { uid: 64_999, gid: 64_999 }

describe('a local user', function () {
  let top: string
  let target: string
  let directories: { guestDirectory: string; runtimeDirectory: string }
  let guest: TravellingGuest | undefined
  let attackers: Attacker[]

  before(skipWithoutQemu)

  beforeEach(() => {
    top = mkdtempSync('/tmp/local-')
    chmodSync(top, 0o711)
    target = join(top, 'target')
    directories = { guestDirectory: join(top, 'g'), runtimeDirectory: join(top, 'r') }
    mkdirSync(directories.guestDirectory, { mode: 0o755 })
    mkdirSync(directories.runtimeDirectory, { mode: 0o711 })
    mkdirSync(join(top, 'attacker'), { mode: 0o755 })
    chownSync(join(top, 'attacker'), NOBODY.uid, NOBODY.gid)
    writeFileSync(target, 'root\'s own', { mode: 0o600 })
    attackers = []
  })

  afterEach(async () => {
    await Promise.all(attackers.map((attacker) => attacker.stop()))
    await guest?.end()
    guest = undefined
    rmSync(top, { recursive: true })
  })

  /** The guest moves in each round; if a move is hindered, the guest stays whole and moves at the next attempt. */
  async function attackWhileMoving(init: Partial<TravelInit>, hindrancesMax: number): Promise<void> {
    attackers.push(await plantLinks(directories.guestDirectory, join(top, 'attacker')), await swapSockets(target))
    guest = new TravellingGuest({ ...directories, ...init })
    await guest.begin()
    let hindrances = 0
    for (let round = 0; round < ROUNDS;) {
      if (await guest.move('precopy')) round += 1
      else hindrances += 1
      assert.ok(hindrances <= hindrancesMax, `hindered ${hindrances} times in ${round} rounds`)
    }
    assert.deepEqual(attackers.flatMap(({ successes }) => successes), [])
    for (const { attempts } of attackers) assert.ok(attempts >= ROUNDS, `only ${attempts} attempts`)
    assert.deepEqual([statSync(target).uid, statSync(target).mode & 0o777], [0, 0o600])
    assert.deepEqual(readdirSync(directories.runtimeDirectory), [], 'nothing was left behind')
  }

  it('gets nothing of root\'s guest, which moves', async function () {
    this.timeout(ROUNDS * ROUND_MS_MAX)
    await attackWhileMoving({}, 0)
  })

  it('gets no more as QEMU\'s own user, and the guest moves', async function () {
    this.timeout(ROUNDS * ROUND_MS_MAX)
    // A user that may end a QEMU may also remove its socket repeatedly, but nothing more.
    await attackWhileMoving({ words: asNobody() }, HINDRANCES_A_ROUND_MAX * ROUNDS)
  })

  for (const mode of ['precopy', 'postcopy'] as const) {
    it(`can move his own guests in ${mode}`, async function () {
      this.timeout(2 * ROUND_MS_MAX)
      chownSync(directories.guestDirectory, MADE_UP.uid, MADE_UP.gid)
      // The kernel lets no other user fetch pages for a post-copy.
      const prefix = [
        'setpriv', `--reuid=${MADE_UP.uid}`, `--regid=${MADE_UP.gid}`, '--clear-groups',
        '--inh-caps=+sys_ptrace', '--ambient-caps=+sys_ptrace',
      ]
      guest = new TravellingGuest({ ...directories, prefix })
      await guest.begin()
      assert.deepEqual([await guest.move(mode), await guest.move(mode)], [true, true])
      assert.deepEqual(readdirSync(directories.runtimeDirectory), [])
    })
  }
})
