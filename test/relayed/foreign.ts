import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { systemRandom } from '../../src/runtime/random.ts'
import type { LabGuest } from '../../testnet/index.ts'
import type { Drive, ManagerLab } from './managerlab.ts'
import { StreamEnds } from './streamends.ts'

const NBD_PORT = 60_001
const DISK_BYTES = 16 * 2 ** 20
const SINK_PORT = 20_100
const TUNNEL_PORT = 20_101
const PLAIN_PORT = 20_102
const STREAM_BYTES = 192 * 2 ** 20
const TURNS = 5
/**
 * Relative to plain relays: bytes carried per second of processor time, at both ends. With busy processors this ratio
 * is the speed, and other work does not change it.
 */
const SHARE_MIN = 0.5

/** Tests of connections that the agents cannot read: they pass unchanged. */
export function foreign(lab: () => ManagerLab): void {
  const ends = new StreamEnds()

  afterEach(async () => {
    await ends.stop()
    await lab().endGuests()
  })

  it('passes with QEMU\'s own TLS', async () => {
    const directory = join(lab().cluster.directory, 'psk')
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'keys.psk'), `qemu:${Buffer.from(systemRandom.bytes(32)).toString('hex')}\n`)
    const psk = (endpoint: string): string[] =>
      ['-object', `tls-creds-psk,id=tls0,endpoint=${endpoint},dir=${directory}`]
    const drive: Drive = { ...lab().tcpDrive(), parameters: { 'tls-creds': 'tls0' } }
    const source = await lab().source({ further: psk('client') })
    const destination = await lab().destinationFor(source, { further: psk('server') })
    const tunnel = await lab().openTunnel(drive)
    try {
      await lab().begin({ source, destination }, drive)
      await lab().complete({ source, destination })
      const { status, code, pages, qemuBytes, rawBytes } = await tunnel.ended()
      assert.deepEqual([status, code, pages.total], ['unknown', 'not-understood', 0])
      assert.ok(rawBytes === qemuBytes && qemuBytes > 2 ** 20, `${rawBytes} of ${qemuBytes} bytes`)
    } finally {
      await tunnel.close()
    }
  })

  it('passes as NBD, at an intercepted port, as Proxmox copies disks', async () => {
    const { carried } = await lab().intercepted()
    const disk = (host: string): string => join(lab().cluster.directory, host, 'disk')
    writeFileSync(disk('a'), systemRandom.bytes(DISK_BYTES))
    writeFileSync(disk('b'), Buffer.alloc(DISK_BYTES))
    const further = (host: string): { further: string[] } =>
      ({ further: ['-blockdev', `driver=file,filename=${disk(host)},node-name=copied`] })
    const source = await lab().guest('a', { name: 'copied', paused: true, ...further('a') })
    const destination = await lab().guest('b', { name: 'copied', paused: true, ...further('b') })
    const host = destination.host!.address
    await destination.qmp.execute('nbd-server-start', {
      addr: { type: 'inet', data: { host, port: String(NBD_PORT) } },
    })
    await destination.qmp.execute('block-export-add', {
      type: 'nbd', id: 'export', 'node-name': 'copied', name: 'disk', writable: true,
    })
    await source.qmp.execute('blockdev-add', {
      driver: 'nbd', 'node-name': 'there', server: { type: 'inet', host, port: String(NBD_PORT) }, export: 'disk',
    })
    await source.qmp.execute('blockdev-mirror', { 'job-id': 'copy', device: 'copied', target: 'there', sync: 'full' })
    await lab().until('the copy to be ready', async () => await jobOf(source) === 'ready')
    await source.qmp.execute('job-complete', { id: 'copy' })
    await lab().until('the copy to end', async () => await jobOf(source) === undefined)
    assert.ok(readFileSync(disk('b')).equals(readFileSync(disk('a'))), 'the disk arrived byte for byte')
    assert.equal((await lab().intercepted()).carried, carried + 1)
  })

  it(`passes as random bytes, at ${SHARE_MIN} of the speed of plain relays or more`, async () => {
    const [a, b] = [lab().cluster.network.host('a'), lab().cluster.network.host('b')]
    const sink = await ends.listen(b, 'sink', '0.0.0.0', SINK_PORT)
    // As many relays and connections as with agents, without encryption.
    const plain = [
      await ends.listen(b, 'relay', b.address, PLAIN_PORT, '127.64.0.9', SINK_PORT),
      await ends.listen(a, 'relay', '127.64.0.3', PLAIN_PORT, b.address, PLAIN_PORT),
    ]
    const agents = [lab().cluster.agent('a'), lab().cluster.agent('b')]
    const tunnel = await lab().openTunnel({
      path: `127.64.0.3:${TUNNEL_PORT}`, remotePath: `127.64.0.9:${SINK_PORT}`,
    })
    const turn = async (port: number, seed: number, relays: readonly { pid: number }[]): Promise<Turn> => {
      const before = secondsOf([sink, ...relays])
      const { written, arrived } = await ends.stream({ from: a, sink }, '127.64.0.3', port, STREAM_BYTES, seed)
      assert.deepEqual(arrived, { bytes: written.bytes, check: written.check }, 'byte for byte')
      const { bytes, ms, cpuSeconds } = written
      const taken = cpuSeconds + secondsOf([sink, ...relays]) - before
      return { perSecond: bytes / ms * 1000, perCpuSecond: bytes / taken }
    }
    try {
      const turns: { ours: Turn; plain: Turn }[] = []
      for (let seed = 0; seed < TURNS; seed++) {
        turns.push({ ours: await turn(TUNNEL_PORT, seed, agents), plain: await turn(PLAIN_PORT, seed, plain) })
      }
      const shareOf = (figure: keyof Turn): number =>
        median(turns.map(({ ours, plain: theirs }) => ours[figure] / theirs[figure]))
      console.log(`      of plain relays: ${shareOf('perCpuSecond').toFixed(2)} of the bytes for a second of ` +
        `processor time, ${shareOf('perSecond').toFixed(2)} of the speed beside what else runs here`)
      assert.ok(shareOf('perCpuSecond') >= SHARE_MIN, JSON.stringify(turns))
    } finally {
      await tunnel.close()
    }
  })
}

/** Bytes, per second and per second of processor time of relays and both ends. */
interface Turn {
  perSecond: number
  perCpuSecond: number
}

function secondsOf(processes: readonly { pid: number }[]): number {
  const ticks = processes.map(({ pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, count) => sum + count, 0) / 100
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!
}

async function jobOf({ qmp }: LabGuest): Promise<string | undefined> {
  return (await qmp.execute('query-jobs') as { status: string }[])[0]?.status
}
