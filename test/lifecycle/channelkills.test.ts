/**
 * A guest is moved over several channels, and one of them is struck at a random moment. Judged from outside, as in
 * rounds.test.ts. PAGEMESH_CHANNELS sets the strikes per number of channels, PAGEMESH_SEED repeats the same moments;
 * `npm run test:lifecycle` strikes ten times.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'

import { END_RIGHT } from '../../src/host/rights.ts'
import type { QemuRelease } from '../../testnet/index.ts'
import { ChannelStriker, strikesInTurn } from './channelstrikes.ts'
import { Rounds } from './rounds.ts'
import { travels } from './travels.ts'

const ROUND_TIMEOUT_MS = 75_000
const COUNT = Number(process.env['PAGEMESH_CHANNELS'] ?? 1)
/** Half of its memory is random, so that it must be sent. */
const KIND = { work: 'random', memoryMiB: 128 } as const
const RELEASES: readonly QemuRelease[] = ['system', 'next']
/** Two passages at each end have a thread; the agent's own thread carries the others. */
const SETTINGS = { handoff: { threads: 2 } }

for (const [index, qemu] of RELEASES.entries()) describe(`a guest that moves over many channels (${qemu} QEMU)`, () => {
  const seed = Number(process.env['PAGEMESH_SEED'] ?? randomInt(2 ** 31)) + index
  const strikes = strikesInTurn(seed)
  const made = travels({ kind: { ...KIND, qemu }, settings: SETTINGS, rights: [END_RIGHT] })
  before(() => console.log(`      PAGEMESH_SEED=${seed - index}`))

  for (const multifd of [1, 2, 4, 8]) {
    it(`has one of main and ${multifd} struck, ${COUNT} times`, async function () {
      this.timeout((COUNT + 2) * ROUND_TIMEOUT_MS)
      const rounds = new Rounds(made.hosts, made.guest, new ChannelStriker({ multifd, strikes }))
      await rounds.run(seed + multifd, COUNT)
      const { struckMs, ends, ended, counts, failures } = rounds.report
      const told = `${struckMs.length} of ${COUNT} struck, moves ${JSON.stringify(ends)}, ` +
        `${ended} QEMUs hung and were ended, faults ${JSON.stringify(counts)}`
      console.log(`      ${told}`)
      assert.equal(failures.length, 0, `PAGEMESH_SEED=${seed - index}: ${told}\n${failures.join('\n\n')}`)
    })
  }
})
