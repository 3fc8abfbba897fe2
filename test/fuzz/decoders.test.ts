import assert from 'node:assert/strict'

import { campaign } from './campaign.ts'
import { corpusNames, readCorpus } from './corpus.ts'
import { listDecoders, unreachedBy } from './reached.ts'
import { seedsOf } from './target.ts'
import { TARGETS } from './targets.ts'
import { trial } from './trial.ts'

/** Inputs of each decoder here, for those of the usual share; `npm run fuzz` gives more. */
const INPUTS = Number(process.env['PAGEMESH_FUZZ_INPUTS'] ?? 300)
const SEED = Number(process.env['PAGEMESH_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

/** Decoders that no input is made for, each with the reason. */
const NOT_FUZZED: Record<string, string> = {
  'src/agent/summaries.ts readMemory': 'one number of the kernel\'s own /proc/meminfo',
  'src/daemon/config.ts readConfig': 'reads the file for parseConfig',
  'src/daemon/usableconfig.ts readUsableConfig': 'reads the file for parseConfig',
  'src/daemon/doctor/bugreport.ts readMetrics': 'text of the agent, kept as it is',
  'src/daemon/doctor/bugreport.ts readJournal': 'text of journalctl, kept as it is',
  'src/daemon/doctor/gather.ts readNumber': 'one number of the kernel\'s own /proc/sys',
  'src/guest/process.ts readStartTicks': 'fields of /proc/PID/stat behind the last parenthesis',
  'src/guest/process.ts readUid': 'one number of /proc/PID/status',
  'src/guest/process.ts readArguments': 'cut at zero bytes',
  'src/guest/processmemory.ts readProcFile': 'reads a file for parsers',
  'src/guest/vanishing.ts readOrNothing': 'reads a file for parsers',
  'src/guest/vanishing.ts readLinkOrNothing': 'reads a link for parsers',
  'src/guest/socketendpoint.ts readInPlace': 'passes bytes on',
  'src/mesh/invitation/exchange.ts readLine': 'reads a socket through LineCutter',
  'src/mesh/lanes/laneserver.ts readPreamble': 'reads a socket for decodePreamble',
  'src/mesh/libp2p/identity.ts readIfThere': 'bytes for libp2p, in test/unit/mesh/libp2p',
  'src/net/ownaddresses.ts readOrNothing': 'reads a file for parseRouted',
  'src/store/reader.ts Reader': 'store.test.ts: it takes a whole store',
}

describe('whatever the bytes', function () {
  this.timeout(0)

  for (const target of TARGETS) {
    it(`of a ${target.name} are, they are read or refused, in time and within bounds`, async () => {
      const inputs = seedsOf(target).length + readCorpus(target.name).length + Math.ceil(INPUTS * (target.share ?? 1))
      const { fault, taken, outcomes } = await campaign({ target, inputs, seed: SEED })
      assert.equal(fault, undefined, `seed ${SEED}: ${fault?.why}\ninput: ${fault?.input}`)
      assert.ok(taken > 0 && outcomes > 0)
    })
  }
})

describe('the inputs', () => {
  it('are for decoders that there are, each with a name of its own', () => {
    const names = TARGETS.map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    assert.deepEqual(corpusNames().filter((name) => !names.includes(name)), [])
  })

  it('reach every decoder of the sources', async () => {
    const decoders = listDecoders()
    assert.ok(decoders.length > 100, 'they are found')
    const unreached = await unreachedBy(decoders, async () => {
      for (const target of TARGETS) {
        for (const input of [...seedsOf(target), ...readCorpus(target.name)]) await trial(target, input)
      }
    })
    assert.deepEqual(unreached.filter((name) => !(name in NOT_FUZZED)), [])
    assert.deepEqual(Object.keys(NOT_FUZZED).filter((name) => !unreached.includes(name)), [])
  })
})
