import { strict as assert } from 'node:assert'

import {
  connectionFault, qmpBusy, qmpError, qmpInterrupted, qmpLost, qmpTimeout,
} from '../../../src/guest/qmperror.ts'

const PATH = '/run/vms/a.qmp'

describe('what goes wrong on a QMP socket', () => {
  const faults: [string[], string, string][] = [
    [['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'], 'guest-gone', 'guest'],
    [['EAGAIN'], 'qmp-busy', 'guest'],
    [['EACCES', 'EPERM'], 'qmp-forbidden', 'usage'],
    [['EMFILE', 'ENOTSOCK', ''], 'qmp-unreachable', 'host'],
  ]
  for (const [systemCodes, code, fault] of faults) {
    it(`is ${code} where the system says ${systemCodes.join(', ')}`, () => {
      for (const systemCode of systemCodes) {
        const cause = Object.assign(new Error('words of the system'), systemCode === '' ? {} : { code: systemCode })
        const error = connectionFault(PATH, cause)
        assert.deepEqual([error.code, error.fault, error.data['path']], [code, fault, PATH])
        assert.ok(error.message.includes(PATH))
        // That the queue is full says everything.
        assert.equal(error.cause, code === 'qmp-busy' ? undefined : cause)
        if (code === 'qmp-unreachable') assert.match(error.message, /words of the system/)
      }
    })
  }

  it('is told with the command, and in QEMU\'s words with one full stop', () => {
    for (const words of ['the disk is locked', 'the disk is locked.']) {
      const error = qmpError(PATH, 'cont', 'GenericError', words)
      assert.equal(error.message, 'QEMU refused cont: the disk is locked.')
      assert.deepEqual([error.code, error.fault, error.data],
        ['qmp-error', 'guest', { path: PATH, command: 'cont', class: 'GenericError', desc: words }])
    }
    const late = qmpTimeout(PATH, 'cont', 50)
    assert.deepEqual([late.code, late.fault, late.data],
      ['qmp-timeout', 'guest', { path: PATH, command: 'cont', timeoutMs: 50 }])
    const cause = qmpLost(PATH)
    assert.deepEqual([cause.code, cause.fault, cause.data], ['guest-gone', 'guest', { path: PATH }])
    const interrupted = qmpInterrupted(PATH, 'migrate', cause)
    assert.deepEqual([interrupted.code, interrupted.fault, interrupted.cause, interrupted.data],
      ['qmp-interrupted', 'guest', cause, { path: PATH, command: 'migrate' }])
    const busy = qmpBusy(PATH, 30)
    assert.deepEqual([busy.code, busy.fault, busy.data], ['qmp-busy', 'guest', { path: PATH, waitedMs: 30 }])
  })
})
