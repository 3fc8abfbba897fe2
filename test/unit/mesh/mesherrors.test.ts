import assert from 'node:assert/strict'

import { gossipTooLong, hostUnknown, hostUnreachable, meshStopped, nameTaken } from '../../../src/mesh/mesherrors.ts'
import type { PagemeshError } from '../../../src/runtime/errors.ts'

const facts = ({ code, fault, phase, data }: PagemeshError): unknown => ({ code, fault, phase, data })

describe('errors of a mesh', () => {
  it('say whose fault it was, and of whom they speak', () => {
    const none = { phase: undefined, data: {} }
    assert.deepEqual(facts(hostUnknown('x', ['b'])), {
      ...none, code: 'host-unknown', fault: 'usage', data: { host: 'x', members: ['b'] },
    })
    const cause = new Error('reset')
    const unreachable = hostUnreachable('b', '/p/1', cause)
    assert.deepEqual(facts(unreachable), {
      ...none, code: 'host-unreachable', fault: 'network', data: { host: 'b', protocol: '/p/1' },
    })
    assert.equal(unreachable.cause, cause)
    assert.deepEqual(facts(nameTaken('a', 'peerX')), {
      code: 'name-taken', fault: 'usage', phase: 'start', data: { name: 'a', holderPeerId: 'peerX' },
    })
    assert.deepEqual(facts(gossipTooLong(10, 5)), {
      ...none, code: 'message-too-long', fault: 'host', data: { lengthBytes: 10, bytesMax: 5 },
    })
    assert.deepEqual(facts(meshStopped()), { ...none, code: 'mesh-stopped', fault: 'cancelled' })
  })

  it('say who is connected when an unknown host is asked for, and what to check when nobody is', () => {
    assert.equal(hostUnknown('x', ['b', 'c']).advice, 'Connected are: b, c.')
    assert.match(hostUnknown('x', []).advice ?? '', /check `bootstrap`.*same cluster key/)
    assert.match(nameTaken('a', 'peerX').advice ?? '', /pagemesh peers accept a/)
  })
})
