import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { differencesOf } from '../../src/guest/differences.ts'
import type { MachineDescription } from '../../src/guest/index.ts'
import { skipWithoutQemu } from '../support/qemuprocess.ts'
import { asNobody, GuestLab, hasCode } from './guestmoves.ts'

const MEBIBYTE = 1024 * 1024
const TMPFS = 0x0102_1994
const NIC = ['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,addr=3']

describe('the check of a real QEMU before a move', function () {
  this.timeout(120_000)
  let lab: GuestLab
  let holder: ChildProcess | undefined

  before(skipWithoutQemu)

  beforeEach(() => { lab = new GuestLab() })

  afterEach(async () => {
    holder?.kill('SIGKILL')
    holder = undefined
    await lab.close()
  })

  async function describeSource(...args: string[]): Promise<MachineDescription> {
    await lab.boot('a', ...args)
    const outgoing = await lab.outgoing('a')
    const description = await outgoing.describe()
    await outgoing.close()
    return description
  }

  async function describeDestination(...args: string[]): Promise<MachineDescription> {
    await lab.wait('b', ...args)
    const incoming = await lab.incoming('b')
    const description = await incoming.describe()
    await incoming.close()
    return description
  }

  it('describes the machine within the size of a message', async () => {
    const description = await describeSource('-machine', 'pc', '-smp', '2', '-S', ...NIC)
    assert.match(description.machine!, /^pc-i440fx-\d+\.\d+$/)
    assert.deepEqual([description.cpus?.count, description.accelerator, description.startsPaused], [2, 'tcg', true])
    assert.match(description.cpus!.type!, /^qemu64-/)
    const ram = description.blocks.find(({ name }) => name === 'pc.ram')
    assert.deepEqual(ram, {
      name: 'pc.ram', bytes: 64 * MEBIBYTE, bytesMax: 64 * MEBIBYTE, pageBytes: 4096, backing: 'anonymous',
    })
    assert.ok(description.devices!.listed.some(({ type, place }) => type === 'virtio-net-pci' && place === 'slot 03.0'))
    assert.deepEqual(description.blockers, [])
    assert.deepEqual(JSON.parse(JSON.stringify(description)), description)
    assert.ok(JSON.stringify(description).length < 48 * 1024)
  })

  it('finds no difference between a running and a waiting guest, even if an alias names its machine', async () => {
    const source = await describeSource('-machine', 'pc', ...NIC)
    const destination = await describeDestination('-machine', source.machine!, ...NIC)
    assert.deepEqual(differencesOf(source, destination, { source: 'host-a', destination: 'host-b' }), [])
  })

  const differences: [string, string[], string[], string[]][] = [
    ['another size of memory', ['-m', '128'], ['-m', '160'], ['pc.ram is 128 MiB on host-a and 160 MiB on host-b.']],
    ['another machine type', ['-machine', 'pc-i440fx-7.2'], ['-machine', 'pc-q35-7.2'],
      ['The machine type is pc-i440fx-7.2 on host-a and pc-q35-7.2 on host-b.']],
    ['another version of it', ['-machine', 'pc-i440fx-7.2'], ['-machine', 'pc-i440fx-7.1'],
      ['The machine type is pc-i440fx-7.2 on host-a and pc-i440fx-7.1 on host-b.']],
    ['a NIC that is missing', NIC, [],
      ['Memory 0000:00:03.0/virtio-net-pci.rom (256 KiB) is on host-a only.',
        'A virtio-net-pci at slot 03.0 is on host-a only.']],
    ['a NIC of another kind', NIC, ['-netdev', 'user,id=n0', '-device', 'e1000,netdev=n0,addr=3,romfile='],
      ['Memory 0000:00:03.0/virtio-net-pci.rom (256 KiB) is on host-a only.',
        'A virtio-net-pci at slot 03.0 is on host-a only.', 'An e1000 at slot 03.0 is on host-b only.']],
    ['another number of vCPUs', ['-smp', '1'], ['-smp', '2'], ['The number of vCPUs is 1 on host-a and 2 on host-b.']],
    ['a device more', [], ['-device', 'virtio-rng-pci,addr=5'], ['A virtio-rng-pci at slot 05.0 is on host-b only.']],
    ['a serial port less', ['-serial', 'null'], [], ['An isa-serial at slot 01.0, port 0x3f8 is on host-a only.']],
  ]
  for (const [what, here, there, sentences] of differences) {
    it(`finds ${what}`, async () => {
      const [source, destination] = [await describeSource(...here), await describeDestination(...there)]
      assert.deepEqual(differencesOf(source, destination, { source: 'host-a', destination: 'host-b' }), sentences)
    })
  }

  function disk(): { path: string; args: string[] } {
    const path = join(lab.directory, 'disk')
    writeFileSync(path, '')
    truncateSync(path, 8 * MEBIBYTE)
    return { path, args: ['-drive', `if=none,id=d0,file=${path},format=raw`, '-device', 'virtio-blk-pci,drive=d0'] }
  }

  it('accepts a disk that the source on the same host has open', async () => {
    const { args } = disk()
    await lab.boot('a', ...args)
    await lab.wait('b', ...args)
    const incoming = await lab.incoming('b')
    await incoming.check({ mode: 'precopy' })
    await incoming.close()
  })

  it('finds a disk that another guest has open', async () => {
    const { path, args } = disk()
    const other = await lab.boot('x', '-name', 'other', ...args)
    await lab.wait('b', ...args)
    const incoming = await lab.incoming('b')
    await assert.rejects(incoming.check({ mode: 'precopy' }), (error) =>
      hasCode(error, 'disk-unusable') &&
      error.message === `The disk ${path} is in use by guest other (process ${other.pid}).`)
    await other.kill()
    await incoming.check({ mode: 'precopy' })
    await incoming.close()
  })

  it('finds a disk that another program has locked', async () => {
    const { path, args } = disk()
    const script = 'import fcntl, sys, time; f = open(sys.argv[1], "r+b"); fcntl.lockf(f, fcntl.LOCK_EX, 1, 201); ' +
      'print("held", flush=True); time.sleep(600)'
    holder = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'ignore'] })
    await once(holder.stdout!, 'data')
    await lab.wait('b', ...args)
    const incoming = await lab.incoming('b')
    await assert.rejects(incoming.check({ mode: 'precopy' }), (error) =>
      hasCode(error, 'disk-unusable') && error.message.includes(`(process ${holder!.pid})`))
    await incoming.close()
  })

  it('finds a disk that QEMU\'s user may not write', async () => {
    const { path, args } = disk()
    chmodSync(lab.directory, 0o755)
    chmodSync(path, 0o666)
    await lab.wait('b', ...asNobody(), ...args)
    chmodSync(path, 0o644)
    const incoming = await lab.incoming('b')
    await assert.rejects(incoming.check({ mode: 'precopy' }), (error) =>
      hasCode(error, 'disk-unusable') && /may not be written by its QEMU/.test(error.message))
    chmodSync(path, 0o666)
    await incoming.check({ mode: 'precopy' })
    await incoming.close()
  })

  it('finds that QEMU may not do post-copy', async function () {
    await lab.wait('b', ...asNobody())
    const incoming = await lab.incoming('b')
    await assert.rejects(incoming.check({ mode: 'postcopy' }), (error) =>
      hasCode(error, 'postcopy-impossible') && /vm\.unprivileged_userfaultfd=1/.test(error.advice!))
    await incoming.check({ mode: 'precopy' })
    await incoming.close()
  })

  it('finds memory that post-copy cannot fill, also in a deleted file', async function () {
    const directory = mkdtempSync('/var/tmp/ram-')
    if (statfsSync(directory).type === TMPFS) this.skip()
    try {
      for (const place of [directory, '/dev/shm']) {
        const backend = `memory-backend-file,id=ram0,size=64M,share=on,mem-path=${place}`
        await lab.wait('b', '-object', backend, '-machine', 'memory-backend=ram0')
        const incoming = await lab.incoming('b')
        if (place === '/dev/shm') await incoming.check({ mode: 'postcopy' })
        else {
          await assert.rejects(incoming.check({ mode: 'postcopy' }), (error) =>
            hasCode(error, 'postcopy-impossible') && /Memory ram0 of vm .* lies in a file on \w+/.test(error.message))
        }
        await incoming.check({ mode: 'precopy' })
        await incoming.close()
        await lab.close()
        lab = new GuestLab()
      }
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
