import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'

import { holdsSocket, inodeAt, otherEndOf } from '../../../src/guest/otherend.ts'
import { readStartTicks } from '../../../src/guest/process.ts'

/** Connects to where it is told, and waits. */
const SCRIPT = 'require("net").connect(JSON.parse(process.argv[1])).on("close", () => process.exit())'

describe('the other end of a connection', () => {
  const directory = mkdtempSync('/tmp/other-')
  after(() => rmSync(directory, { recursive: true, force: true }))

  for (const kind of ['unix', 'tcp', 'tcp6'] as const) {
    it(`is the process that connected over ${kind}`, async () => {
      const path = join(directory, 's')
      const server = createServer({ pauseOnConnect: true }).listen(
        kind === 'unix' ? { path } : { host: kind === 'tcp' ? '127.64.0.2' : '::1', port: 0 },
      )
      await once(server, 'listening')
      const to = kind === 'unix' ? { path } : {
        host: (server.address() as AddressInfo).address, port: (server.address() as AddressInfo).port,
      }
      const arriving = once(server, 'connection')
      const child = spawn(process.execPath, ['-e', SCRIPT, JSON.stringify(to)], { stdio: 'inherit' })
      const [socket] = await arriving as [Socket]
      const { pid, inode } = await otherEndOf(socket, kind === 'unix' ? path : undefined)
      const process_ = { pid: child.pid!, startTicks: readStartTicks(child.pid!)! }
      assert.ok(kind !== 'unix' || pid === undefined || pid === child.pid)
      assert.ok(inode === undefined ? kind === 'unix' : holdsSocket(process_, inode))
      assert.ok(inode === undefined || !holdsSocket({ pid: process.pid, startTicks: 0 }, inode))
      socket.destroy()
      server.close()
      await once(child, 'exit')
    })
  }

  it('is nobody where the tables do not say it, or say it twice', () => {
    const line = (local: string, inode: string, state = '01'): string =>
      `   1: ${local} 0200407F:5014 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000\n`
    assert.equal(inodeAt(line('0100007F:9C41', '77'), '127.0.0.1', 40001), '77')
    assert.equal(inodeAt(line('0000000000000000FFFF00000100007F:9C41', '77'), '::ffff:127.0.0.1', 40001), '77')
    assert.equal(inodeAt(line('0100007F:9C41', '77'), '127.0.0.1', 40002), undefined)
    assert.equal(inodeAt(line('0100007F:9C41', '77', '0A'), '127.0.0.1', 40001), undefined)
    assert.equal(inodeAt(line('0100007F:9C41', '77') + line('0100007F:9C41', '78'), '127.0.0.1', 40001), undefined)
    assert.equal(inodeAt(line('000080FE00000000FF005450B6AD1DFE:0050', '9'), 'fe80::5054:ff:fe1d:adb6', 80), '9')
  })
})
