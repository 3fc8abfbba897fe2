import assert from 'node:assert/strict'

import { isOwnHost } from '../../../src/daemon/ownhost.ts'

const NAMES = ['host-a', 'Host-A.example.com']

describe('whose host a request is for', () => {
  const table: [listenHost: string, header: string, isOwn: boolean][] = [
    ['127.0.0.1', '127.0.0.1:9464', true],
    ['127.0.0.1', 'localhost', true],
    ['127.0.0.1', 'LocalHost.:80', true],
    ['127.0.0.1', '[::1]:9464', true],
    ['127.0.0.1', 'evil.example', false],
    ['127.0.0.1', 'evil.example:9464', false],
    ['127.0.0.1', 'host-a', false],
    ['127.0.0.1', '127.0.0.1.evil.example', false],
    ['127.0.0.1', '192.168.0.7', false],
    ['127.0.0.1', '', false],
    ['127.0.0.1', 'localhost@evil.example', false],
    ['localhost', '127.0.0.1', true],
    ['localhost', 'host-a', false],
    ['10.0.0.1', '10.0.0.1:9464', true],
    ['10.0.0.1', 'host-a:9464', true],
    ['10.0.0.1', 'host-a.example.com.', true],
    ['10.0.0.1', 'localhost', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['10.0.0.1', 'evil.example', false],
    ['metrics.example.com', 'METRICS.example.com:9464', true],
    ['0.0.0.0', '192.168.0.7:9464', true],
    ['::', '[2001:db8::1]:9464', true],
    ['0.0.0.0', 'host-a', true],
    ['0.0.0.0', 'evil.example', false],
  ]
  for (const [listenHost, header, isOwn] of table) {
    it(`at ${listenHost}: ${header === '' ? 'an empty one' : header} is ${isOwn ? '' : 'not '}ours`, () => {
      assert.equal(isOwnHost(header, { listenHost, names: NAMES }), isOwn)
    })
  }
})
