import assert from 'node:assert/strict'

import { HostInterception } from '../../../src/agent/interception.ts'
import { createAgent, MemoryNetwork } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'

const OPTIONS = { name: 'a', clusterKey: new Uint8Array(32), store: { path: '/nowhere' } }

describe('an agent that may intercept', () => {
  it('does not unless it is told to, and says so', async () => {
    for (const intercept of [{}, { ports: [] }]) {
      const agent = await createAgent({ ...OPTIONS, intercept })
      const { active, why } = agent.status().intercept
      assert.deepEqual({ active, why }, { active: false, why: null })
      assert.match(await agent.metrics(), /^pagemesh_intercept_active 0$/m)
      assert.match(await agent.metrics(), /^pagemesh_intercept_direct_total 0$/m)
    }
    const mesh = new MemoryNetwork().createMesh('a')
    const interception = new HostInterception({ clock: systemClock, log: silentLog, mesh }, {
      ports: [], agentPorts: new Set(),
    })
    await interception.start({ carry: () => assert.fail('nothing comes') })()
  })

  it('refuses ports at which it is dialed itself, the lane that follows from the others among them', async () => {
    const listen = ['/ip4/10.0.0.1/tcp/4001']
    for (const port of [4001, 4002]) {
      const intercept = { ports: [{ first: port, last: port }] }
      await assert.rejects(createAgent({ ...OPTIONS, listen, intercept }), { code: 'bad-config' })
    }
    const intercept = { ports: [{ first: 4002, last: 4002 }] }
    await createAgent({ ...OPTIONS, listen, lane: '10.0.0.1:5000', intercept })
    await assert.rejects(createAgent({ ...OPTIONS, listen, lane: '10.0.0.1:4002', intercept }), { code: 'bad-config' })
  })
})
