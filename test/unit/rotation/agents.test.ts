import assert from 'node:assert/strict'
import { chmod, copyFile } from 'node:fs/promises'

import { keyIdOf } from '../../../src/mesh/index.ts'
import { until } from '../../support/meshes.ts'
import { RotatingHosts } from './rotatinghosts.ts'

const WAIT_MS = 20_000

describe('a rotation of the cluster key over four hosts, of which one is down', function () {
  this.timeout(6 * WAIT_MS)
  const names = ['a', 'b', 'c', 'd']
  let hosts: RotatingHosts
  let old = ''

  beforeEach(async () => {
    hosts = await RotatingHosts.make(names)
    const file = await hosts.keygen('old')
    old = keyIdOf(await hosts.key(file))
    for (const name of names) {
      await copyFile(file, hosts.keyFile(name))
      await chmod(hosts.keyFile(name), 0o600)
      await hosts.start(name)
    }
    await hosts.meet()
  })
  afterEach(() => hosts.remove())

  it('leaves that host out once the old key is removed, and its own agent says what to do', async () => {
    await hosts.stop('d')
    await hosts.meet()
    const file = await hosts.keygen('next')
    const key = await hosts.key(file)
    const id = keyIdOf(key)
    const a = hosts.agent('a')
    const installed = await a.keys({ action: 'install', key })
    assert.deepEqual([installed.complete, installed.absent], [false, ['d']])
    assert.deepEqual(installed.hosts.map(({ accepts }) => accepts), [[old, id], [old, id], [old, id]])
    assert.equal((await hosts.agent('b').keys({ action: 'use', id, without: ['d'] })).complete, true)
    const early = hosts.agent('b').keys({ action: 'remove', id: old })
    await assert.rejects(early, { code: 'key-unready', message: /: d, / })
    const removed = await hosts.agent('b').keys({ action: 'remove', id: old, without: ['d'] })
    assert.equal(removed.complete, true)
    assert.deepEqual(removed.hosts.map(({ host, used, accepts }) => [host, used, accepts]),
      ['b', 'a', 'c'].map((host) => [host, id, [id]]))
    for (const name of ['a', 'b', 'c']) assert.equal(await hosts.keyCount(name), 1)

    const d = await hosts.start('d')
    await until(() => d.status().keys.strangers.length === 3, 'd to know that the others hold another key', WAIT_MS)
    assert.match(d.status().keys.advice ?? '', /No host accepts this host's cluster key: a, b, c hold another one/)
    assert.deepEqual([d.status().peers, a.status().peers.length], [[], 2])
    await until(() => a.status().keys.strangers.includes('d'), 'a to know of d', WAIT_MS)

    // It is told to copy the file.
    await hosts.stop('d')
    await copyFile(hosts.keyFile('a'), hosts.keyFile('d'))
    await hosts.start('d')
    await hosts.meet()
    assert.equal(hosts.agent('d').status().keys.advice, null)
    await until(() => a.status().keys.advice === null, 'a to have forgotten that', WAIT_MS)
  })

  it('takes it in while the old key is accepted, and gives it the new one', async () => {
    await hosts.stop('d')
    const key = await hosts.key(await hosts.keygen('next'))
    const id = keyIdOf(key)
    await hosts.agent('a').keys({ action: 'install', key })
    await hosts.agent('a').keys({ action: 'use', id })
    const d = await hosts.start('d')
    await hosts.meet()
    await until(() => d.status().keys.used === id, 'd to use the new key', WAIT_MS)
    assert.equal(await hosts.keyCount('d'), 2)
    assert.equal((await hosts.agent('c').keys({ action: 'remove', id: old })).complete, true)
    assert.deepEqual(d.status().keys.accepts, [id])
  })

  it('has it follow, if it has both keys and the old one was removed while it was down', async () => {
    const key = await hosts.key(await hosts.keygen('next'))
    const id = keyIdOf(key)
    assert.equal((await hosts.agent('a').keys({ action: 'install', key })).complete, true)
    await hosts.stop('d')
    await hosts.agent('b').keys({ action: 'use', id })
    await hosts.agent('b').keys({ action: 'remove', id: old, without: ['d'] })
    await hosts.stop('b')
    const d = await hosts.start('d')
    await hosts.meet()
    await until(() => d.status().keys.accepts.join() === id, 'd to remove the old key as well', WAIT_MS)
    assert.equal(await hosts.keyCount('d'), 1)
  })
})
