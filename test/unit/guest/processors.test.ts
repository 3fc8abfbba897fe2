import { strict as assert } from 'node:assert'

import { hasRun, processorTicks } from '../../../src/guest/processors.ts'

const stat = (name: string, user: number, system: number): string =>
  `4242 (${name}) S 1 4240 4240 0 -1 1077936192 300 0 12 0 ${user} ${system} 0 0 20 0 3 0 81234 1493213184 21000`

describe('the processors of a guest', () => {
  it('have run as long as their threads say', () => {
    assert.equal(processorTicks(stat('CPU 0/KVM', 423, 47)), 470)
    assert.equal(processorTicks(stat('CPU 127/TCG', 0, 0)), 0)
    assert.equal(processorTicks(stat('ALL CPUs/TCG', 7, 0)), 7)
  })

  it('are told by the names of their threads', () => {
    for (const name of ['qemu-system-x86', 'CPU', 'CPU 0', 'CPU 0/', 'worker', 'x) CPU 0/KVM', 'CPU 0/KVM ']) {
      assert.equal(processorTicks(stat(name, 423, 47)), undefined, name)
    }
    assert.equal(processorTicks(''), undefined)
    assert.equal(processorTicks('4242 (CPU 0/KVM) S 1'), undefined)
  })

  it('are none in a process that names no thread so', () => {
    assert.equal(hasRun(process.pid), undefined)
    assert.equal(hasRun(2 ** 22 + 1), undefined)
  })
})
