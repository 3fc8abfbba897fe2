import assert from 'node:assert/strict'

import {
  CONTROL_LIMITS, decodeAnswer, encodeAnswer, encodeRequest, errorAnswer, type ControlRequest,
} from '../../../../src/daemon/control/protocol.ts'
import { decodeRequest } from '../../../../src/daemon/control/requests.ts'
import { CHANNELS_MAX } from '../../../../src/guest/index.ts'
import { PagemeshError } from '../../../../src/runtime/errors.ts'
import { progressOf } from '../../../support/fakeagent.ts'

describe('the control protocol', () => {
  it('takes as many channels as the agent', () => {
    assert.equal(CONTROL_LIMITS.channelsMax, CHANNELS_MAX)
  })

  const requests: ControlRequest[] = [
    { command: 'ping' },
    { command: 'status' },
    { command: 'cluster' },
    { command: 'pages', arguments: { countMax: 1 } },
    { command: 'pages', arguments: { countMax: 100_000 } },
    { command: 'history', arguments: { countMax: 200 } },
    { command: 'peers' },
    { command: 'metrics' },
    { command: 'examine', arguments: {} },
    { command: 'examine', arguments: { to: 'host-b' } },
    { command: 'audit', arguments: { countMax: 20_000 } },
    { command: 'acceptPeer', arguments: { name: 'host-b' } },
    { command: 'invite', arguments: { ttlMs: 604_800_000, uses: 100 } },
    { command: 'acceptPeer', arguments: { name: 'host-b', peerId: '12D3KooWother' } },
    { command: 'keys', arguments: { action: 'list' } },
    { command: 'keys', arguments: { action: 'install', key: 'A'.repeat(43) } },
    { command: 'keys', arguments: { action: 'install', key: 'A'.repeat(43), here: true, without: ['host-d'] } },
    { command: 'keys', arguments: { action: 'use', id: '0123456789abcdef' } },
    { command: 'keys', arguments: { action: 'remove', id: '0123456789abcdef', without: ['host-d', 'host-e'] } },
    { command: 'held', arguments: { guest: 'web-1' } },
    { command: 'recover', arguments: { guest: 'web-1' } },
    { command: 'settle', arguments: { guest: 'web-1', decision: 'run' } },
    { command: 'settle', arguments: { guest: 'web-1', decision: 'end' } },
    { command: 'cancel', arguments: {} },
    { command: 'cancel', arguments: { guest: 'web-1' } },
    { command: 'migrate', arguments: { guest: 'web-1', to: 'host-b' } },
    { command: 'migrate', arguments: { guest: 'web-1', to: 'host-b', channels: 1 } },
    { command: 'migrate', arguments: { guest: 'web-1', to: 'host-b', channels: 16 } },
    { command: 'tunnel', arguments: { to: 'host-b', path: '/run/t' } },
    {
      command: 'tunnel',
      arguments: { to: 'host-b', path: '/run/t', remotePath: '127.64.0.2:20500', mode: 0o660, gid: 64_055 },
    },
    {
      command: 'evacuate',
      arguments: { to: ['host-b'], mode: 'precopy', parallel: 2, timeoutMs: 5000, onTimeout: 'postcopy', dryRun: true },
    },
    {
      command: 'migrate',
      arguments: {
        guest: 'web-1', to: 'host-b', mode: 'postcopy',
        maxBandwidth: 1e6, maxDowntimeMs: 300, timeoutMs: 5000, onTimeout: 'pause', dryRun: true,
      },
    },
  ]
  for (const request of requests) {
    it(`brings ${JSON.stringify(request)} across`, () => {
      assert.deepEqual(decodeRequest(encodeRequest(request).trimEnd()), request)
    })
  }

  for (const line of [
    '', 'garbage', '[]', '42', 'null', '{}', '{"command":"reboot"}', '{"command":"status","arguments":{"a":1}}',
    '{"command":"status","arguments":[]}', '{"command":"status","more":1}',
    // Deeper than what can be written again.
    `{"command":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
    '{"command":"pages"}', '{"command":"pages","arguments":{"countMax":0}}',
    '{"command":"pages","arguments":{"countMax":100001}}', '{"command":"pages","arguments":{"countMax":"5"}}',
    '{"command":"pages","arguments":{"countMax":1.5}}', '{"command":"pages","arguments":{"countMax":5,"more":1}}',
    '{"command":"cancel","arguments":{"guest":""}}', '{"command":"examine","arguments":{"to":1}}',
    '{"command":"examine","arguments":{"from":"a"}}',
    '{"command":"history"}', '{"command":"history","arguments":{"countMax":201}}',
    '{"command":"audit","arguments":{"countMax":20001}}', '{"command":"peers","arguments":{"a":1}}',
    '{"command":"invite"}', '{"command":"invite","arguments":{"ttlMs":604800001,"uses":1}}',
    '{"command":"invite","arguments":{"ttlMs":1,"uses":101}}',
    '{"command":"acceptPeer"}', '{"command":"acceptPeer","arguments":{"name":"b","peerId":"../x"}}',
    '{"command":"acceptPeer","arguments":{"name":"b","more":1}}',
    '{"command":"keys"}', '{"command":"keys","arguments":{"action":"list","id":"0123456789abcdef"}}',
    '{"command":"keys","arguments":{"action":"use"}}', '{"command":"keys","arguments":{"action":"use","id":"0123"}}',
    '{"command":"keys","arguments":{"action":"install","key":"short"}}',
    '{"command":"keys","arguments":{"action":"remove","id":"0123456789abcdef","without":"host-d"}}',
    '{"command":"keys","arguments":{"action":"use","id":"0123456789abcdef","here":true}}',
    '{"command":"keys","arguments":{"action":"use","id":"0123456789abcdef","more":1}}',
    '{"command":"held"}', '{"command":"held","arguments":{"guest":"a","more":1}}',
    '{"command":"recover"}', '{"command":"recover","arguments":{"guest":"a","to":"b"}}',
    '{"command":"settle","arguments":{"guest":"a"}}', '{"command":"settle","arguments":{"decision":"run"}}',
    '{"command":"settle","arguments":{"guest":"a","decision":"keep"}}',
    '{"command":"settle","arguments":{"guest":"a","decision":"run","more":1}}',
    '{"command":"tunnel","arguments":{"to":"b"}}',
    '{"command":"tunnel","arguments":{"to":"b","path":"/t","mode":512}}',
    '{"command":"tunnel","arguments":{"to":"b","path":"/t","gid":-1}}',
    '{"command":"tunnel","arguments":{"to":"b","path":"/t","onNews":1}}',
    '{"command":"migrate"}', '{"command":"migrate","arguments":{"guest":"a"}}',
    '{"command":"migrate","arguments":{"guest":"a","to":"b","mode":"magic"}}',
    '{"command":"migrate","arguments":{"guest":"a","to":"b","maxBandwidth":0}}',
    '{"command":"migrate","arguments":{"guest":"a","to":"b","timeoutMs":"5"}}',
    '{"command":"migrate","arguments":{"guest":"a","to":"b","dryRun":1}}',
    '{"command":"migrate","arguments":{"guest":"a","to":"b","onTimeout":"hope"}}',
    '{"command":"migrate","arguments":{"guest":"a","to":"b","signal":{}}}',
    '{"command":"evacuate","arguments":{"onTimeout":"hope"}}', '{"command":"evacuate","arguments":{"to":"b"}}',
    ...['0', '-1', '17', '2.5', '"4"', '"auto"', 'null', '[4]'].map((channels) =>
      `{"command":"migrate","arguments":{"guest":"a","to":"b","channels":${channels}}}`),
    `{"command":"cancel","arguments":{"guest":"${'x'.repeat(256)}"}}`,
  ]) {
    it(`refuses the request ${line.slice(0, 70)}`, () => {
      assert.throws(() => decodeRequest(line), { code: 'bad-request', fault: 'usage' })
    })
  }

  it('brings progress, results and errors back', () => {
    const progress = progressOf({ guest: 'web-1', to: 'host-b' })
    const error = new PagemeshError('no-handoff', 'None runs.', { fault: 'usage', advice: 'Look.' })
    for (const answer of [{ progress }, { result: { a: 1 } }, { result: null }, errorAnswer(error)]) {
      assert.deepEqual(decodeAnswer(encodeAnswer(answer).trimEnd()), answer)
    }
    assert.deepEqual(errorAnswer(error), {
      error: { code: 'no-handoff', message: 'None runs.', advice: 'Look.', fault: 'usage' },
    })
  })

  for (const line of [
    '', '{}', '{"progress":5}', '{"error":{}}', '{"error":{"code":"a","message":"b","fault":"mine"}}',
    '{"error":{"code":"a","message":"b","fault":{"toString":1}}}',
  ]) {
    it(`refuses the answer ${line}`, () => {
      assert.throws(() => decodeAnswer(line), { code: 'bad-answer' })
    })
  }
})
