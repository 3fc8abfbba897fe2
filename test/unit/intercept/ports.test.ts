import assert from 'node:assert/strict'

import { requireForeignPorts } from '../../../src/intercept/index.ts'

const AGENT_PORTS = new Set([4001, 4002, 4003])

describe('the ports that are intercepted', () => {
  it('may be a manager\'s', () => {
    requireForeignPorts([{ first: 49_152, last: 49_215 }, { first: 8102, last: 8102 }], AGENT_PORTS)
    requireForeignPorts([{ first: 4004, last: 19_999 }, { first: 20_080, last: 65_535 }], AGENT_PORTS)
  })

  it('are none at which this agent is dialed', () => {
    for (const port of [4001, 4002, 4003]) {
      const range = [{ first: 49_152, last: 49_215 }, { first: port, last: port }]
      const refusal = { code: 'bad-config', message: new RegExp(`${port}.*listens`) }
      assert.throws(() => requireForeignPorts(range, AGENT_PORTS), refusal)
    }
    assert.throws(() => requireForeignPorts([{ first: 3000, last: 5000 }], AGENT_PORTS), { code: 'bad-config' })
  })

  it('are none that interception itself needs', () => {
    for (const [first, last] of [[20_079, 20_100], [19_000, 20_000], [20_050, 20_050]] as const) {
      assert.throws(() => requireForeignPorts([{ first, last }], AGENT_PORTS), {
        code: 'bad-config', message: /needs 20000-20079/,
      })
    }
  })
})
