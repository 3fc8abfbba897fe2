import assert from 'node:assert/strict'

import {
  AGENT_RIGHTS, END_RIGHT, INTERCEPT_RIGHT, keptRights, parseCapabilities, RIGHTS_ADVICE,
} from '../../../src/host/rights.ts'

const STATUS = 'Name:\tnode\nCapInh:\t0000000000000000\nCapPrm:\t0000000000080002\nCapBnd:\t000001ffffffffff\n'

describe('what an agent may do beyond any user', () => {
  it('is told by the kernel, a bit for each capability', () => {
    assert.deepEqual(parseCapabilities(STATUS, 'CapInh'), [])
    assert.deepEqual(parseCapabilities(STATUS, 'CapPrm'), [1, 19])
    assert.deepEqual(parseCapabilities(STATUS, 'CapBnd'), Array.from({ length: 41 }, (_, bit) => bit))
    assert.deepEqual(parseCapabilities(STATUS, 'CapAmb'), [])
    assert.deepEqual(parseCapabilities('CapPrm:\t8000000000000000\n', 'CapPrm'), [63])
  })

  it('is to read the memory of guests and to reach their sockets, each with its reason', () => {
    const named = AGENT_RIGHTS.map(({ name, bit }) => [name, bit])
    assert.deepEqual(named, [['CAP_SYS_PTRACE', 19], ['CAP_DAC_OVERRIDE', 1]])
    assert.deepEqual([INTERCEPT_RIGHT.bit, END_RIGHT.bit], [12, 5], 'as linux/capability.h numbers them')
    assert.ok(AGENT_RIGHTS.every(({ why }) => why.length > 0))
    assert.equal(keptRights(AGENT_RIGHTS), '-all,+sys_ptrace,+dac_override')
    assert.equal(keptRights([INTERCEPT_RIGHT]), '-all,+net_admin')
    assert.match(RIGHTS_ADVICE, /CAP_SYS_PTRACE and CAP_DAC_OVERRIDE/)
  })
})
