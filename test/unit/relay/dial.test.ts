import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

import type { Endpoint } from '../../../src/net/endpoint.ts'
import { dial } from '../../../src/relay/dial.ts'
import { eventually } from './hosts.ts'

describe('what is dialled for a member', () => {
  let directory: string
  let path: string
  let server: Server
  const sockets: Socket[] = []
  const opened: Endpoint[] = []

  beforeEach(async () => {
    directory = mkdtempSync('/tmp/dial-')
    path = join(directory, 'q')
    server = createServer((socket) => sockets.push(socket)).listen(path)
    await once(server, 'listening')
  })

  afterEach(() => {
    for (const one of [...sockets.splice(0), ...opened.splice(0)]) one.destroy()
    server.close()
    rmSync(directory, { recursive: true })
  })

  it('stays open when what limited the dialling is over', async () => {
    const opening = new AbortController()
    const endpoint = await dial({ kind: 'unix', path }, opening.signal)
    opened.push(endpoint)
    await eventually(() => sockets.length === 1)
    let isClosed = false
    void endpoint.closed.then(() => { isClosed = true })
    opening.abort(new Error('late'))
    const heard = once(sockets[0]!, 'data')
    await endpoint.write(Buffer.from('on'))
    assert.deepEqual([String((await heard)[0]), isClosed], ['on', false])
  })

  it('is nothing where it is too late already', async () => {
    const why = new Error('too late')
    await assert.rejects(dial({ kind: 'unix', path }, AbortSignal.abort(why)), why)
    const tcp = { kind: 'tcp', host: '127.0.0.1', port: 1 } as const
    await assert.rejects(dial(tcp, AbortSignal.abort(why)), why)
  })

  it('says in the peer\'s words what could not be reached', async () => {
    const { signal } = new AbortController()
    await assert.rejects(dial({ kind: 'unix', path: `${path}2` }, signal), {
      code: 'not-dialled', fault: 'peer', phase: 'preparing',
      message: /nothing could be reached at .*q2 there \(ENOENT\)/,
    })
    await assert.rejects(dial({ kind: 'unix', path: directory }, signal), { message: /it is no socket/ })
  })
})
